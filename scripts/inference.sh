#!/usr/bin/env bash
# Generates a list of videos as Diff2Lip's script of this name does, with the same variables.
#
#   real_video_root=/data/VoxCeleb2/test/mp4 sample_mode=cross scripts/inference.sh [flags of generate.py]
#
#   real_video_root   the videos (default dataset/VoxCeleb2/vox2_test_mp4/mp4)
#   sample_path       where the results go (default output_dir)
#   filelist          the list (default: the original's VoxCeleb2 list of sample_mode, in dataset/filelists)
#   model_path, sample_mode, NUM_GPUS   as of scripts/as_original.sh
#
# Every video is taken for a VoxCeleb2 face crop, as by the original; pass --is_voxceleb2 False for others.
# The same command goes on where it stopped.  Some failed: 5 (1 if torchrun had to start the processes).
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export sample_mode=${sample_mode:-cross} model_path=${model_path:-}

list=$root/dataset/filelists/voxceleb2_test_n_5000_seed_797_cross_5K.txt
if [[ $sample_mode == reconstruction ]]; then
    list=$root/dataset/filelists/voxceleb2_test_n_5000_reconstruction_5k.txt
fi
list=${filelist:-$list}
if [[ ! -f $list ]]; then
    echo "inference.sh: there is no list $list; set filelist to one, or make one with dataset.filelists.make" >&2
    exit 2
fi
exec "$root/scripts/as_original.sh" --filelist "$list" --is_voxceleb2 True --sample_path "${sample_path:-output_dir}" \
    --test_video_dir "${real_video_root:-dataset/VoxCeleb2/vox2_test_mp4/mp4}" "$@"
