#!/usr/bin/env bash
# Trains Diff2Lip on VoxCeleb2 as it is published (or LRW, or a prepared folder): first the sync expert, then the network.
#
#   real_video_root=/data/VoxCeleb2 scripts/train.sh [flags of train.py for the network]
#
# What both need is looked at first (data, weights, disk, memory, GPUs), and the plan printed; with --dry_run that is all.
# The same command goes on where it stopped.  Variables, as in scripts/inference.sh where they are the same:
#   real_video_root   the data
#   output            the run folder (default runs/diff2lip)
#   NUM_GPUS          processes, one a GPU (default: as many as there are, or 1)
#   expert            a sync expert to use instead of training one, such as Wav2Lip's lipsync_expert.pth
#   workers           data loading processes for each of them (default 4)
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
fail() {
    echo "error: $1" >&2
    exit 2
}
data=${real_video_root:-}
[[ -n $data ]] || fail "real_video_root is not set; set it to the folder of VoxCeleb2, LRW or prepared clips"
output=${output:-runs/diff2lip}
workers=${workers:-4}
python=$("$root/scripts/setup.sh")
count=$("$python" -c 'import torch; print(torch.cuda.device_count())')
processes=${NUM_GPUS:-$((count > 0 ? count : 1))}
[[ $processes =~ ^[1-9][0-9]*$ ]] || fail "NUM_GPUS is $processes; set it to a number from 1 on, or leave it out"
if ((count > 0 && processes > count)); then
    fail "NUM_GPUS is $processes, and $count GPUs are there; set it to $count, or leave it out"
fi

train() { # flags of train.py; by all processes
    if ((processes > 1)); then
        "$python" -m torch.distributed.run --standalone --nproc_per_node="$processes" "$root/train.py" "$@"
    else
        "$python" "$root/train.py" "$@"
    fi
}

sync=(--system sync --data "$data" --output "$output/sync" --workers "$workers")
network=(--system diff2lip-128 --data "$data" --output "$output/network" --workers "$workers")
judge=${expert:-$output/sync/weights.safetensors}
stand_in=$judge # the expert that ships, as long as the one to be trained is not there
[[ -n ${expert:-} || -e $judge ]] || stand_in=$root/checkpoints/sync.safetensors

echo "plan, by $processes process$( ((processes == 1)) || echo es) on $count GPUs; everything is checked before the first step"
if [[ -z ${expert:-} ]]; then
    echo "1. the sync expert"
    "$python" "$root/train.py" "${sync[@]}" --dry_run
    echo "2. the network, by that expert"
else
    echo "1. the network, by $expert"
fi
"$python" "$root/train.py" "${network[@]}" --expert "$stand_in" "$@" --dry_run
for flag in "$@"; do
    [[ $flag != --dry[_-]run ]] || exit 0
done

if [[ -z ${expert:-} ]]; then
    train "${sync[@]}"
fi
train "${network[@]}" --expert "$judge" "$@"
