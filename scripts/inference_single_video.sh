#!/usr/bin/env bash
# Generates one video as Diff2Lip's script of this name does, with the same variables.
#
#   video_path=person.mp4 audio_path=words.wav out_path=result.mp4 scripts/inference_single_video.sh [flags]
#
#   video_path, audio_path, out_path   the video, the words, the result
#   NUM_GPUS                           processes that share the video (default 1, as in the original)
#   model_path, sample_mode            as of scripts/as_original.sh
#
# The same command goes on where it stopped.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export NUM_GPUS=${NUM_GPUS:-1} sample_mode=${sample_mode:-cross} model_path=${model_path:-}

for variable in "video_path the video" "audio_path the words" "out_path the result"; do
    name=${variable%% *}
    if [[ -z ${!name:-} ]]; then
        echo "error: $name is not set; set it to ${variable#* }, as in $name=FILE scripts/inference_single_video.sh" >&2
        exit 2
    fi
done
exec "$root/scripts/as_original.sh" --is_voxceleb2 False --video "$video_path" --audio "$audio_path" \
    --output "$out_path" "$@"
