#!/usr/bin/env bash
# Runs generate.py, or generate_dist.py on several processes, with the settings of the original Diff2Lip.  The two
# inference scripts call it; it can be called alone.
#
#   sample_mode=cross NUM_GPUS=2 scripts/as_original.sh [flags of generate.py]
#
#   model_path    the weights (default: the checkpoint that ships)
#   sample_mode   cross: the video itself says the words (default); reconstruction: its still first frame does
#   NUM_GPUS      processes, one a GPU (default: as many as there are, or 1).  Several are started by mpiexec if there is
#                 one, as by the original, else by torchrun
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
flags=(--length shortest --video_fps 25 --mask half --feather 0 --detail 0 --no_registration --strict_pose force --sampling_seed 7)
case ${sample_mode:-cross} in
    reconstruction) flags+=(--sampling_input_type first_frame --sampling_ref_type first_frame) ;;
    cross) flags+=(--sampling_input_type gt --sampling_ref_type gt) ;;
    *)
        echo "error: sample_mode is ${sample_mode}; choose cross or reconstruction" >&2
        exit 2
        ;;
esac
if [[ -n ${model_path:-} ]]; then
    flags+=(--model_path "$model_path")
fi
if [[ ${model_path:-} == *.pt ]]; then # the original release; a checkpoint of ours says itself how it is sampled
    flags+=(--timestep_respacing ddim25 --use_ddim True --use_fp16 True)
fi

if [[ -n ${NUM_GPUS:-} && ! $NUM_GPUS =~ ^[1-9][0-9]{0,3}$ ]]; then
    echo "error: NUM_GPUS is $NUM_GPUS; set it to a number from 1 on, or leave it out" >&2
    exit 2
fi

python=$("$root/scripts/setup.sh")
count=${NUM_GPUS:-$("$python" -c 'import torch; print(max(torch.cuda.device_count(), 1))')}
if ((count <= 1)) || [[ " $* " == *" --dry_run "* ]]; then
    exec "$python" "$root/generate.py" "${flags[@]}" "$@"
fi
mpiexec=$(dirname "$python")/mpiexec
[[ -x $mpiexec ]] || mpiexec=$(command -v mpiexec || true)
if [[ -z $mpiexec ]]; then
    exec "$python" -m torch.distributed.run --standalone --nproc_per_node="$count" \
        "$root/generate_dist.py" "${flags[@]}" "$@"
fi
# Open MPI refuses root, and more processes than cores, unless told.  Which MPI it is does not matter: the processes meet
# where the last two variables say.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe OMPI_MCA_rmaps_base_oversubscribe=1
MASTER_PORT=$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
export MASTER_ADDR=127.0.0.1 MASTER_PORT
exec "$mpiexec" -n "$count" "$python" "$root/generate_dist.py" "${flags[@]}" "$@"
