#!/bin/bash
# train_then_eval.sh TRAIN_CONFIG EVAL_CONFIG [SBATCH_OPTION…]: a training, and an evaluation that
# starts once when the training has ended well, whatever number of requeues that took. It is
# cancelled when the training fails. Prints the two job numbers.
set -euo pipefail
if [ $# -lt 2 ]; then
  sed -n '2,4s/^# //p' "$0" >&2
  exit 64
fi
here=$(cd "$(dirname "$0")" && pwd)
template=${TEMPLATE:-$here/cpu.sbatch} # or gpu.sbatch
training=$(sbatch --parsable "${@:3}" "$template" train "$1")
after=(--dependency="afterok:$training" --kill-on-invalid-dep=yes)
evaluation=$(sbatch --parsable "${after[@]}" "${@:3}" "$template" eval "$2")
printf '%s %s\n' "$training" "$evaluation"
