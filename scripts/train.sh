#!/usr/bin/env bash
# Trains Diff2Lip on VoxCeleb2 as it is published (or LRW, or a prepared folder): first the sync expert, then the network.
#
#   real_video_root=/data/VoxCeleb2 scripts/train.sh [flags of train.py for the network]
#
# The same command goes on where it stopped.  Variables, as in scripts/inference.sh where they are the same:
#   real_video_root   the data
#   output            the run folder (default runs/diff2lip)
#   NUM_GPUS          processes, one a GPU (default: as many as there are, or 1)
#   expert            a sync expert to use instead of training one, such as Wav2Lip's lipsync_expert.pth
#   workers           data loading processes for each of them (default 4)
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
data=${real_video_root:?set real_video_root to the folder of VoxCeleb2, LRW or prepared clips}
output=${output:-runs/diff2lip}
workers=${workers:-4}
python=$("$root/scripts/setup.sh")
count=$("$python" -c 'import torch; print(max(torch.cuda.device_count(), 1))')
processes=${NUM_GPUS:-$count}

train() {
    if ((processes > 1)); then
        "$python" -m torch.distributed.run --standalone --nproc_per_node="$processes" "$root/train.py" "$@"
    else
        "$python" "$root/train.py" "$@"
    fi
}

if [[ -z ${expert:-} ]]; then
    expert=$output/sync/weights.safetensors
    train --system sync --data "$data" --output "$output/sync" --workers "$workers"
fi
train --system diff2lip-128 --data "$data" --output "$output/network" --expert "$expert" --workers "$workers" "$@"
