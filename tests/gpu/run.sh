#!/usr/bin/env bash
# shellcheck disable=SC1091,SC2317 # lib.sh is read at run time; suites are called by name
# What only a machine with GPUs can show. See --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

usage() {
  cat <<'HELP'
usage: ./tests/gpu/run.sh [SUITE…] [--help]

  contract  the contract of comm/ over NCCL on 1 … N GPUs with MPI as the oracle, and ranks that die
  train     training and attention on a GPU beside the CPU's, in float32 and bfloat16; two runs that must be bit-equal
  parity    training, scoring and generating on a GPU beside transformers and lm-evaluation-harness (tests/parity)
  ranks     training over 1 … N GPUs: the losses are those of one
  study     the quickstart's study: training and scoring take turns on the same GPUs, in float32 and in bfloat16
  bench     all-reduce times by size, in registered and in plain memory (breakeven bench allreduce)
  double    the same contract on the double of NCCL and CUDA, which needs no GPU: what differs is the double's fault

Without a suite: all. On a machine without a usable GPU it says why and ends with 0; NEED_GPU=1 makes that an error (1).
Reuse a build with SKIP_SETUP=1; BREAKEVEN_BUILD names another build folder than build/release. GPUS=2 uses fewer than
there are.
HELP
}

SUITES=()
for argument in "$@"; do
  case $argument in
    contract | train | parity | ranks | study | bench | double) SUITES+=("$argument") ;;
    -h | --help) usage && exit 0 ;;
    *) usage >&2 && printf 'error: unknown suite %s\n' "$argument" >&2 && exit 64 ;;
  esac
done
if [ ${#SUITES[@]} -eq 0 ]; then SUITES=(contract train parity ranks study bench double); fi

skip() {
  printf 'skipped: %s\n' "$1"
  if [ -n "${NEED_GPU:-}" ]; then exit 1; fi
  exit 0
}

# As the driver says it: what CUDA_VISIBLE_DEVICES hides is found out by the program itself, below.
count_gpus() {
  [ -e /proc/driver/nvidia/version ] || skip "this machine has no NVIDIA driver (/proc/driver/nvidia/version)"
  command -v nvidia-smi >/dev/null || skip "nvidia-smi is not on the PATH"
  nvidia-smi -L >/tmp/breakeven-gpus.$$ 2>&1 || {
    reason=$(head -n 1 /tmp/breakeven-gpus.$$)
    rm -f /tmp/breakeven-gpus.$$
    skip "nvidia-smi fails: $reason"
  }
  NUM_GPUS=$(grep -c '^GPU ' /tmp/breakeven-gpus.$$ || true)
  cat /tmp/breakeven-gpus.$$
  rm -f /tmp/breakeven-gpus.$$
  if [ -n "${CUDA_VISIBLE_DEVICES+set}" ]; then
    NUM_GPUS=$(awk -F, -v mask="$CUDA_VISIBLE_DEVICES" 'BEGIN { print mask == "" || mask ~ /^-1/ ? 0 : split(mask, a, ",") }')
  fi
  [ "$NUM_GPUS" -gt 0 ] || skip "no GPU is visible (CUDA_VISIBLE_DEVICES=${CUDA_VISIBLE_DEVICES-not set})"
  if [ -n "${GPUS:-}" ] && [ "$GPUS" -lt "$NUM_GPUS" ]; then NUM_GPUS=$GPUS; fi
}
count_gpus

# shellcheck disable=SC2034 # lib.sh says it where a step fails
RESUME_COMMAND="./tests/gpu/run.sh $*"
. launch/lib.sh
BUILD=${BREAKEVEN_BUILD:-build/release}
if [ -z "${SKIP_SETUP:-}" ] && [ "$BUILD" = build/release ]; then
  setup_packages launch/debian_packages.txt tests/debian_packages.txt
  setup_python requirements-test.txt
  build release breakeven mpi_contract nccl_tests trainer_tests model_tool dataset_tool -- -DBREAKEVEN_TESTS=ON
fi
export NCCL_DEBUG=${NCCL_DEBUG:-WARN}

# under_mpi EXPECTED RANKS PROGRAM… : the job must end with this code.
under_mpi() {
  local expected=$1 status=0
  prepare_mpirun "$2"
  shift 2
  timeout 600 "${MPIRUN[@]}" "$@" </dev/null || status=$?
  if [ "$status" -ne "$expected" ]; then say "exit code $status, expected $expected: $*" && return 1; fi
}

first_gpu() { printf '%s' "${CUDA_VISIBLE_DEVICES:-0}" | cut -d, -f1; }

contract() {
  local program=$BUILD/tests/mpi_contract most=$NUM_GPUS ranks failed=0
  if [ "$NUM_GPUS" -eq 1 ]; then # NCCL 2.30 and later let ranks share it
    export ALLOW_SHARED_GPU=1
    most=3
    say "one GPU: ranks share it"
  fi
  for ranks in $(seq 1 "$most"); do under_mpi 0 "$ranks" "$program" nccl check || failed=1; done
  # A rank ends in each of the ways there are: the job ends with its code and nobody hangs.
  under_mpi 70 2 "$program" nccl abort || failed=1
  under_mpi 70 2 "$program" nccl abort_from_thread || failed=1
  under_mpi 76 2 "$program" nccl throw || failed=1
  under_mpi 3 2 "$program" nccl leave || failed=1
  CHECK_CALLS=1 under_mpi 76 2 "$program" nccl mistake || failed=1
  BREAKEVEN_FAULT=comm.all_reduce@5:1=kill under_mpi 137 2 "$program" nccl check || failed=1
  # One GPU for two ranks that did not ask for it.
  unset ALLOW_SHARED_GPU
  CUDA_VISIBLE_DEVICES=$(first_gpu) under_mpi 78 2 "$program" nccl check || failed=1
  return "$failed"
}

bench() {
  local failed=0
  under_mpi 0 "$NUM_GPUS" "$BUILD/breakeven" bench allreduce --set 'backends=[nccl]' \
    --set 'dtypes=[float32,bfloat16]' || failed=1
  # What registration brings.
  under_mpi 0 "$NUM_GPUS" "$BUILD/breakeven" bench allreduce --set 'backends=[nccl]' --set memory=plain \
    --set min_bytes=1048576 || failed=1
  return "$failed"
}

train() { "$BUILD/tests/trainer_tests" --gtest_filter='GpuTest.*'; }

parity() {
  BREAKEVEN_DEVICE=cuda BREAKEVEN_BUILD=$BUILD .venv/bin/python -m pytest -q tests/parity/test_training.py \
    tests/parity/test_model.py tests/parity/test_eval.py tests/parity/test_generate.py
}

# The quickstart's model and data.
need_data() {
  [ -e data/catalogue/tokens/train.h5 ] || { ./launch/quickstart.sh --only data && ./launch/quickstart.sh --only prepare; }
}

# A run of one GPU is the oracle.
ranks() {
  local folder ranks failed=0
  need_data || return 1
  folder=$(mktemp -d)
  for ranks in $(seq 1 "$NUM_GPUS"); do
    for shard in false true; do
      under_mpi 0 "$ranks" "$BUILD/breakeven" train configs/quickstart_train.yaml --set device=cuda \
        --set precision=float32 --set max_steps=10 --set log_every_steps=1 --set optimizer.shard=$shard \
        --set "output=$folder/$ranks-$shard" || failed=1
      .venv/bin/python tests/gpu/compare_losses.py "$folder/1-false" "$folder/$ranks-$shard" || failed=1
    done
  done
  under_mpi 0 "$NUM_GPUS" "$BUILD/breakeven" bench step configs/quickstart_train.yaml --set device=cuda || failed=1
  rm -rf "$folder"
  return "$failed"
}

study() {
  local folder precision failed=0
  need_data || return 1
  folder=$(mktemp -d)
  for precision in float32 bfloat16; do
    under_mpi 0 "$NUM_GPUS" "$BUILD/breakeven" study configs/study_quickstart.yaml --set train.device=cuda \
      --set train.precision=$precision --set precision=$precision --set "output=$folder/$precision" || failed=1
  done
  rm -rf "$folder"
  return "$failed"
}

double() { "$BUILD/tests/nccl/nccl_tests" --gtest_brief=1; }

FAILED=0
RESULTS=()
for suite in "${SUITES[@]}"; do
  say ""
  say "== $suite"
  begin=$SECONDS
  if "$suite"; then result=ok; else result=FAILED FAILED=1; fi
  RESULTS+=("$(printf '%-9s %-7s %d s' "$suite" "$result" $((SECONDS - begin)))")
done
say ""
say "== tests on $NUM_GPUS GPU(s)"
for line in "${RESULTS[@]}"; do say "$line"; done
exit "$FAILED"
