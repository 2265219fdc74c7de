#!/usr/bin/env bash
# Makes the virtual environment ready and prints its Python, which is all that goes to standard output.
#
#   scripts/setup.sh          what the programs need
#   scripts/setup.sh --dev    and what the tests need
#
# The environment is .venv, or the folder that VENV names.  It is made by the first python3 that is new enough, or by
# the interpreter that PYTHON names.  Where the requirements are those of the last time, nothing is done.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=${VENV:-$root/.venv}
[[ $venv == /* ]] || venv=$PWD/$venv
python=$venv/bin/python

fail() {
    echo "setup.sh: $1" >&2
    exit 2
}

find_python() {
    local candidate
    for candidate in ${PYTHON:+"$PYTHON"} python3 python3.13 python3.12 python3.11; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    fail "Python 3.11 or newer is needed and none is here; install one, or name one as PYTHON=/path/to/python3.11"
}

make_environment() {
    local base
    base=$(find_python)
    if [[ -d $venv && ! -e $venv/pyvenv.cfg && -n $(ls -A "$venv") ]]; then
        fail "$venv is a folder of other things; name a new one with VENV"
    fi
    "$base" -m venv "$venv" >&2 ||
        fail "$base cannot make the virtual environment $venv; on Debian or Ubuntu, apt-get install python3-venv"
    "$python" -m pip --version >/dev/null 2>&1 || fail "$venv is broken; remove it and run this again"
}

# Every program works with OpenCV 5 too, but only 4 brings a face detector along: with it nothing but the package index
# has to be within reach.
with_detector="opencv-python<5"

# Installs a requirements file, unless this very text has been installed already.
install() {
    local stamp=$venv/$1.sha256 wanted trouble
    wanted=$("$python" -c 'import hashlib, sys; print(hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest())' "$root/$1")
    if [[ -f $stamp && $(<"$stamp") == "$wanted" ]]; then
        return
    fi
    echo "installing $1 into $venv (minutes, the first time)" >&2
    "$python" -m pip install --quiet --quiet --disable-pip-version-check --no-input "$with_detector" \
        --requirement "$root/$1" >&2 ||
        fail "pip could not install $1, see above; check the network and the space on the disk (7 GB)"
    trouble=$("$python" -c 'import cv2' 2>&1) ||
        fail "OpenCV does not load (${trouble##*$'\n'}); on Debian or Ubuntu, apt-get install libgl1 libglib2.0-0"
    echo "$wanted" >"$stamp"
}

case ${1-} in
    "" | --dev) ;;
    *) fail "$1 is unknown; the only flag is --dev" ;;
esac
"$python" -m pip --version >/dev/null 2>&1 || make_environment
install requirements.txt
if [[ ${1-} == --dev ]]; then
    install requirements-dev.txt
fi
echo "$python"
