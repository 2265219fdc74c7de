#!/usr/bin/env bash
# Makes the virtual environment ready and prints its Python: scripts/setup.py, by the first Python that is new enough.
#
#   scripts/setup.sh          what the programs need
#   scripts/setup.sh --dev    and what the tests need
#
# The environment is .venv, or the folder that VENV names.  It is made by the first python3 that is new enough, or by
# the interpreter that PYTHON names.  TORCH=cpu leaves CUDA out.  scripts/setup.py does the work, and runs without bash.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
for candidate in "${VENV:-$root/.venv}/bin/python" ${PYTHON:+"$PYTHON"} python3 python3.1{3,2,1,4} python; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
        exec "$candidate" "$root/scripts/setup.py" "$@"
    fi
done
echo "error: Python 3.11 or newer is needed and none is here; install one, or name one as PYTHON=/path/to/python3.11" >&2
exit 2
