#!/usr/bin/env bash
# From a fresh clone to a fine-tuned, scored model. See --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
  cat <<'HELP'
usage: ./launch/quickstart.sh [--ranks N] [--only STEP] [--again] [--help]

Fine-tunes SmolLM2-135M on Debian's own package catalogue (which section is a package in?) on MPI ranks of this machine,
scores it against prompts of the untouched model, and prints the table. Steps, each skipped when it is done already:

  setup    Debian packages (by apt where this user may, else the command is printed) and .venv with pinned wheels
  build    build/release/breakeven
  data     the model (models/) and the data set (data/catalogue/)
  prepare  raw text -> HDF5 tokens                          configs/quickstart_prepare.yaml
  train    fine-tuning and scoring, all ranks               configs/quickstart_train.yaml -> runs/quickstart/
  study    does tuning beat the best prompt?                configs/study_quickstart.yaml -> runs/study_quickstart/

  --ranks N    MPI ranks (default 2)
  --only STEP  this step alone
  --again      train anew; the former run is moved to runs/quickstart.before-N

A run that was interrupted goes on from its newest checkpoint when the same command is given again.
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
  *) printf 'error: --only: expected setup, build, data, prepare, train or study, found "%s"\n' "$ONLY" >&2 && exit 64 ;;
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
  local number=1
  while [ -e "$RUN.before-$number" ]; do number=$((number + 1)); done
  mv "$RUN" "$RUN.before-$number"
  say "   the former run is now $RUN.before-$number"
}

step_train() {
  local stamp
  stamp=$(fingerprint configs/quickstart_train.yaml configs/tasks/debian_section.yaml configs/prompts/debian_section.yaml \
    data/catalogue/tokens/{train,dev}.h5 data/catalogue/{dev,test}.jsonl)
  if [ -f "$RUN/eval/table.md" ] && is_done train "$stamp" && [ -z "$AGAIN" ]; then return 0; fi
  # A finished run of other inputs, or one that is to be done again, is kept; an unfinished one goes on.
  if [ -d "$RUN" ] && { [ -n "$AGAIN" ] || { [ -f "$STAMPS/train" ] && ! is_done train "$stamp"; }; }; then move_away; fi
  rm -f "$STAMPS/train"
  prepare_mpirun "$RANKS"
  SHOW_OUTPUT=train run_step train "fine-tuning and scoring on $RANKS ranks (about ten minutes on two cores)" \
    "${MPIRUN[@]}" "$BREAKEVEN" train configs/quickstart_train.yaml
  mark_done train "$stamp"
}

step_study() {
  # A finished study is read back in a second, an interrupted one goes on, and one of another config is refused by the program.
  prepare_mpirun "$RANKS"
  SHOW_OUTPUT=study run_step study "the question in small, on $RANKS ranks (about four minutes on two cores)" \
    "${MPIRUN[@]}" "$BREAKEVEN" study configs/study_quickstart.yaml
}

show_results() {
  say ""
  say "== results"
  cat "$RUN/eval/table.md"
  say ""
  say "table        $RUN/eval/table.md (numbers: summary.json, every answer: records.jsonl)"
  say "checkpoint   $RUN/checkpoints/$(cat "$RUN/checkpoints/latest") (a Hugging Face folder)"
  say "log          $RUN/log.txt, $RUN/metrics.jsonl"
  say "try it       $BREAKEVEN generate configs/quickstart_generate.yaml"
}

begin=$SECONDS
for step in setup build data prepare train study; do
  if wants "$step"; then "step_$step"; fi
done
if wants train; then show_results; fi
say "finished in $(((SECONDS - begin) / 60)) min $(((SECONDS - begin) % 60)) s"
