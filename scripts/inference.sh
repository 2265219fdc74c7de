#!/usr/bin/env bash
# Generates a list of videos as Diff2Lip's script of this name does, with the same variables.
#
#   real_video_root=/data/VoxCeleb2/test/mp4 sample_mode=cross scripts/inference.sh [flags of generate.py]
#   real_video_root=/data/LRW/lipread_mp4 filelist=lrw_cross_relative_path.txt scripts/inference.sh
#
#   real_video_root   the videos (default dataset/VoxCeleb2/vox2_test_mp4/mp4)
#   sample_path       where the results go (default output_dir)
#   filelist          the list (default: the original's VoxCeleb2 list of sample_mode, in dataset/filelists).  One of the
#                     original's names that is not there is drawn from the test videos: as many pairs as the original's,
#                     or as there are, seed 797, kept in sample_path/filelists
#   model_path, sample_mode, NUM_GPUS   as of scripts/as_original.sh
#
# Every video is taken for a VoxCeleb2 face crop, as by the original, but those of a list called lrw_...; pass
# --is_voxceleb2 False for others.
# The same command goes on where it stopped.  Some failed: 5 (1 if torchrun had to start the processes).
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export sample_mode=${sample_mode:-cross} model_path=${model_path:-}
fail() {
    echo "error: $1" >&2
    exit 2
}

case $sample_mode in
    cross) list=voxceleb2_test_n_5000_seed_797_cross_5K.txt ;;
    reconstruction) list=voxceleb2_test_n_5000_reconstruction_5k.txt ;;
    *) fail "sample_mode is $sample_mode; choose cross or reconstruction" ;;
esac
list=${filelist:-$root/dataset/filelists/$list}
videos=${real_video_root:-dataset/VoxCeleb2/vox2_test_mp4/mp4} results=${sample_path:-output_dir}
name=$(basename "$list") crop=True
[[ $name != lrw_* ]] || crop=False
if [[ ! -f $list && -f $root/dataset/filelists/$name ]]; then
    list=$root/dataset/filelists/$name
fi
if [[ ! -f $list ]]; then
    [[ $name == voxceleb2_test_n_500* || $name == lrw_* ]] ||
        fail "there is no list $list; set filelist to one, or leave it out to have one drawn"
    list=$results/filelists/$name
    if [[ ! -f $list ]]; then
        python=$("$root/scripts/setup.sh")
        PYTHONPATH=$root "$python" -m dataset.filelists.make original --root "$videos" --output "$list"
    fi
fi
exec "$root/scripts/as_original.sh" --filelist "$list" --is_voxceleb2 "$crop" --sample_path "$results" \
    --test_video_dir "$videos" "$@"
