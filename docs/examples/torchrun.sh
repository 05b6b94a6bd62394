#!/bin/sh
# Train on several machines: run this on each of them, with the same folder of code, data and runs.
#
#   FIRST=first-machine NODES=2 GPUS=8 sh torchrun.sh recipes/ref_youtube_vos_t.yaml data.root=datasets/ref-youtube-vos
#
# Who loses a process waits for it: all begin again from the last checkpoint, three times at most.
set -e
# Machines may count restarts differently; each beginning gets a store of its own, so that none waits under a number
# that another does not use (PyTorch 2.14).
export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1
exec torchrun --nnodes "${NODES:-2}" --nproc-per-node "${GPUS:-8}" --max-restarts 3 \
    --rdzv-backend c10d --rdzv-endpoint "${FIRST:?the name of the first machine}:${PORT:-29500}" --rdzv-id "${ID:-sgmg}" \
    -m sgmg train "$@" trainer.num_nodes="${NODES:-2}" trainer.devices="${GPUS:-8}"
