#!/usr/bin/env bash
# All checks, as continuous integration runs them: style, types, tests.  The last lines are pytest's.
#
#   scripts/test.sh [flags of pytest, such as -m "not slow" or tests/video]
set -euo pipefail

# What is compiled is kept: else each of a hundred processes would compile all of it anew.
unset PYTHONDONTWRITEBYTECODE

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=$("$root/scripts/setup.sh" --dev)
cd "$root"

# Files of tests run side by side, each by one thread: tiny networks gain nothing from more.
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
status=0
"$python" -m ruff check . || status=1
"$python" -m mypy --num-workers auto || status=1
if ((status)); then
    echo "test.sh: ruff or mypy found the above; this fails, whatever the tests say" >&2
fi
"$python" -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder "$@" || status=$?
exit "$status"
