#!/usr/bin/env bash
# From a fresh clone to a study's report. See --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
  cat <<'HELP'
usage: ./launch/quickstart.sh [--ranks N] [--only STEP] [--again] [--help]

Asks on Debian's own package catalogue (which section is a package in?): does fine-tuning SmolLM2-135M beat the best of some
prompts? On MPI ranks of this machine, in small. Steps, each skipped when it is done already:

  setup    Debian packages (by apt where this user may, else the command is printed) and .venv with pinned wheels
  build    build/release/breakeven
  data     the model (models/) and the data set (data/catalogue/)
  study    prompts, trainings, verdict, report              configs/study_quickstart.yaml -> runs/study_quickstart/

With --only, instead of the study, one training run scored beside the prompts:

  prepare  raw text -> HDF5 tokens                          configs/quickstart_prepare.yaml
  train    fine-tuning and scoring, all ranks               configs/quickstart_train.yaml -> runs/quickstart/

  --ranks N    MPI ranks (default 2)
  --only STEP  this step alone
  --again      anew: the former study, or training with --only train, is moved to runs/….before-N

A run that was interrupted goes on where it was when the same command is given again.
HELP
}

RANKS=2
ONLY=
AGAIN=
RESUME_COMMAND="./launch/quickstart.sh $*"
while [ $# -gt 0 ]; do
  case $1 in
    --ranks) RANKS=${2:-} && shift ;;
    --ranks=*) RANKS=${1#*=} ;;
    --only) ONLY=${2:-} && shift ;;
    --only=*) ONLY=${1#*=} ;;
    --again) AGAIN=yes ;;
    -h | --help) usage && exit 0 ;;
    *) usage >&2 && printf 'error: unknown option %s\n' "$1" >&2 && exit 64 ;;
  esac
  shift || true
done
[[ $RANKS =~ ^[1-9][0-9]*$ ]] || { printf 'error: --ranks: expected a number from 1, found "%s"\n' "$RANKS" >&2 && exit 64; }
case $ONLY in
  "" | setup | build | data | prepare | train | study) ;;
  *) printf 'error: --only: expected setup, build, data, study, prepare or train, found "%s"\n' "$ONLY" >&2 && exit 64 ;;
esac

. launch/lib.sh

BREAKEVEN=build/release/breakeven
RUN=runs/quickstart
wants() { [ -z "$ONLY" ] || [ "$ONLY" = "$1" ]; }

step_setup() {
  setup_packages launch/debian_packages.txt
  setup_python requirements.txt
}

step_build() {
  local options=()
  # Without GoogleTest the tests cannot be configured; tests/run.sh installs it.
  if [ ! -f /usr/include/gtest/gtest.h ]; then options=(-- -DBREAKEVEN_TESTS=OFF); fi
  build release breakeven "${options[@]}"
}

step_data() {
  fetch_model
  fetch_data
}

step_prepare() {
  local stamp
  stamp=$(fingerprint configs/quickstart_prepare.yaml configs/tasks/debian_section.yaml \
    configs/prompts/debian_section_training.yaml data/catalogue/{train,dev}.jsonl "$BREAKEVEN" \
    models/SmolLM2-135M-Instruct/tokenizer.json)
  if [ -f data/catalogue/tokens/train.h5 ] && is_done prepare "$stamp"; then return 0; fi
  SHOW_OUTPUT=prepare run_step prepare "tokenising the data set" "$BREAKEVEN" prepare configs/quickstart_prepare.yaml
  mark_done prepare "$stamp"
}

move_away() {
  local run=$1 number=1
  while [ -e "$run.before-$number" ]; do number=$((number + 1)); done
  mv "$run" "$run.before-$number"
  say "   the former run is now $run.before-$number"
}

# run_job COMMAND RUN EVIDENCE TITLE INPUT… : breakeven COMMAND of the quickstart on all ranks, its config the first input. EVIDENCE
# is the last file that it leaves in RUN. A finished run of other inputs, or one that is to be done again, is kept; an unfinished
# one goes on.
run_job() {
  local name=$1 run=$2 evidence=$3 title=$4 stamp
  shift 4
  stamp=$(fingerprint "$@")
  if [ -f "$run/$evidence" ] && is_done "$name" "$stamp" && [ -z "$AGAIN" ]; then return 0; fi
  if [ -d "$run" ] && { [ -n "$AGAIN" ] || { [ -f "$STAMPS/$name" ] && ! is_done "$name" "$stamp"; }; }; then
    move_away "$run"
  fi
  rm -f "$STAMPS/$name"
  prepare_mpirun "$RANKS"
  SHOW_OUTPUT=$name run_step "$name" "$title" "${MPIRUN[@]}" "$BREAKEVEN" "$name" "$1"
  mark_done "$name" "$stamp"
}

step_train() {
  run_job train "$RUN" eval/table.md "fine-tuning and scoring on $RANKS ranks (some minutes on two cores)" \
    configs/quickstart_train.yaml configs/tasks/debian_section.yaml configs/prompts/debian_section.yaml \
    data/catalogue/tokens/{train,dev}.h5 data/catalogue/{dev,test}.jsonl
}

step_study() {
  run_job study runs/study_quickstart study.json "prompts against fine-tuning on $RANKS ranks (about four minutes on two cores)" \
    configs/study_quickstart.yaml configs/tasks/debian_section.yaml configs/prompts/debian_section_{short,training}.yaml \
    data/catalogue/{train,dev,test}.jsonl
}

show_study() {
  say ""
  say "report       runs/study_quickstart/report.html (also .md and .json)"
  say "evidence     runs/study_quickstart/eval/records.jsonl, every answer of every arm"
  say "in full      $BREAKEVEN study configs/study_catalogue.yaml --dry-run"
  say "try it       $BREAKEVEN generate configs/quickstart_generate.yaml"
}

show_results() {
  say ""
  say "== results"
  cat "$RUN/eval/table.md"
  say ""
  say "table        $RUN/eval/table.md (numbers: summary.json, every answer: records.jsonl)"
  say "checkpoint   $RUN/checkpoints/$(cat "$RUN/checkpoints/latest") (a Hugging Face folder)"
  say "log          $RUN/log.txt, $RUN/metrics.jsonl"
}

begin=$SECONDS
for step in setup build data study; do
  if wants "$step"; then "step_$step"; fi
done
case $ONLY in
  "" | study) show_study ;;
  prepare) step_prepare ;;
  train) step_train && show_results ;;
esac
say "finished in $(((SECONDS - begin) / 60)) min $(((SECONDS - begin) % 60)) s"
