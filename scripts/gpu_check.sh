#!/usr/bin/env bash
# Everything that wants a GPU, in at most 4 minutes: the tests marked gpu, then the benchmarks (the goals of
# speed, training, generation), as long as time is left.
#
#   scripts/gpu_check.sh [folder for what was measured (default: gpu_check)]
#
# PYTHON: an interpreter that has all packages; else scripts/setup.sh makes one.  SECONDS_LEFT: another limit than 240.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=${PYTHON:-$("$root/scripts/setup.sh" --dev)}
output=${1:-gpu_check}
mkdir -p "$output"
output=$(cd "$output" && pwd)
limit=${SECONDS_LEFT:-240}
end=$((SECONDS + limit)) least=$((limit < 24 ? 1 : limit / 24)) # with less left than that, nothing is begun
cd "$root"

status=0
run() { # NAME command...: what it says goes to the terminal and to NAME.txt
    local name=$1 left=$((end - SECONDS))
    shift
    if ((left < least)); then
        echo "gpu_check.sh: no time is left for $name" >&2
        return
    fi
    timeout "$left" "$@" 2>&1 | tee "$output/$name.txt" || status=1
}

run tests "$python" -m pytest -m gpu
run goals "$python" scripts/benchmark_goals.py --rounds 1 --compile
run training "$python" scripts/benchmark_training.py --system style-medium --steps 10 --compile
run presets "$python" scripts/benchmark_presets.py --output "$output/presets.json"
run generation "$python" scripts/benchmark.py
exit "$status"
