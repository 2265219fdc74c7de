#!/usr/bin/env bash
# Generates a list of videos as Diff2Lip's script of this name does, with the same variables.
#
#   real_video_root=/data/VoxCeleb2/test/mp4 sample_mode=cross scripts/inference.sh [flags of generate.py]
#
#   real_video_root   the videos (default dataset/VoxCeleb2/vox2_test_mp4/mp4)
#   sample_path       where the results go (default output_dir)
#   filelist          the list (default: the original's VoxCeleb2 list of sample_mode, in dataset/filelists; where it is
#                     not, one of 5000 pairs, seed 797, is drawn from the videos, or of as many as there are, and kept in
#                     sample_path/filelists)
#   model_path, sample_mode, NUM_GPUS   as of scripts/as_original.sh
#
# Every video is taken for a VoxCeleb2 face crop, as by the original; pass --is_voxceleb2 False for others.
# The same command goes on where it stopped.  Some failed: 5 (1 if torchrun had to start the processes).
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export sample_mode=${sample_mode:-cross} model_path=${model_path:-}

list=$root/dataset/filelists/voxceleb2_test_n_5000_seed_797_cross_5K.txt
case $sample_mode in
    cross) ;;
    reconstruction) list=$root/dataset/filelists/voxceleb2_test_n_5000_reconstruction_5k.txt ;;
    *)
        echo "inference.sh: sample_mode is $sample_mode; choose cross or reconstruction" >&2
        exit 2
        ;;
esac
videos=${real_video_root:-dataset/VoxCeleb2/vox2_test_mp4/mp4} results=${sample_path:-output_dir}
if [[ -n ${filelist:-} ]]; then
    list=$filelist
    if [[ ! -f $list ]]; then
        echo "inference.sh: there is no list $list; set filelist to one, or leave it out to have one drawn" >&2
        exit 2
    fi
elif [[ ! -f $list ]]; then
    list=$results/filelists/$(basename "$list")
    if [[ ! -f $list ]]; then
        count=--pairs
        [[ $sample_mode == cross ]] || count=--videos
        python=$("$root/scripts/setup.sh")
        PYTHONPATH=$root "$python" -m dataset.filelists.make "$sample_mode" --root "$videos" --output "$list" \
            "$count" 5000 --fewer --seed 797
    fi
fi
exec "$root/scripts/as_original.sh" --filelist "$list" --is_voxceleb2 True --sample_path "$results" \
    --test_video_dir "$videos" "$@"
