#!/usr/bin/env bash
# Sets up as the quickstart does, builds, and runs the tests. See --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
  cat <<'HELP'
usage: ./tests/run.sh [SUITE…] [--help]

  unit     GoogleTest, one executable a folder, and the mpirun tests of comm/            (ctest)
  system   the program from outside: command line, errors, ranks, kill and resume        (pytest tests/system)
  faults   what must not end a run or harm it: 40 rows, a table at the end; Slurm's in cluster  (pytest tests/faults)
  cluster  batch jobs on a Slurm of two nodes made of namespaces, the lab, launch         (pytest tests/cluster)
  parity   beside transformers, tokenizers, jinja2 and lm-evaluation-harness, run live   (pytest tests/parity)
  asan     unit tests under the address and undefined-behaviour sanitizers, no libtorch  (ctest)
  tsan     the same under the thread sanitizer
  fuzz     the readers of foreign files under libFuzzer and sanitizers, 20 s each          (tests/fuzz/run.sh)
  bench    the measuring programs, one by one, small sizes; prints their figures         (tests/bench/*_bench.py --small)
  ci       what .ci/run asks for: unit system faults cluster parity asan fuzz
  full     all but bench, with the long forms (200-document parity, 200 kills, nodes, power cuts, fuzzing for an hour)

Without a suite: unit system faults cluster parity. The Slurm parts of cluster need root and say so where it is missing.
All suites run even when one fails; the exit code is 0 only when all passed.
BREAKEVEN_FULL=1 asks the tests for their long forms. Reuse a build with SKIP_SETUP=1. BREAKEVEN_FUZZ_SECONDS=N fuzzes each
reader for N seconds.
HELP
}

SUITES=()
for argument in "$@"; do
  case $argument in
    unit | system | faults | cluster | parity | asan | tsan | fuzz | bench) SUITES+=("$argument") ;;
    ci) SUITES+=(unit system faults cluster parity asan fuzz) ;;
    full)
      export BREAKEVEN_FULL=1
      SUITES+=(unit system faults cluster parity asan tsan fuzz)
      ;;
    -h | --help) usage && exit 0 ;;
    *) usage >&2 && printf 'error: unknown suite %s\n' "$argument" >&2 && exit 64 ;;
  esac
done
if [ ${#SUITES[@]} -eq 0 ]; then SUITES=(unit system faults cluster parity); fi

RESUME_COMMAND="./tests/run.sh $*"
. launch/lib.sh
begin=$SECONDS

wants() { [[ " ${SUITES[*]} " == *" $1 "* ]]; }

if [ -z "${SKIP_SETUP:-}" ]; then
  setup_packages launch/debian_packages.txt tests/debian_packages.txt
  # Without root there is no lab, and its packages are not asked for.
  if wants cluster && [ "$(id -u)" -eq 0 ]; then setup_packages cluster/lab/debian_packages.txt; fi
  if wants asan || wants fuzz; then setup_packages tests/fuzz/debian_packages.txt; fi
  setup_python requirements-test.txt
  if wants unit || wants system || wants faults || wants cluster || wants parity || wants bench; then
    # The quickstart may have built without tests. The long form of parity runs the simulations again.
    build release all ${BREAKEVEN_FULL:+statistics_simulation} -- -DBREAKEVEN_TESTS=ON
  fi
  if wants parity || wants system || wants bench; then
    fetch_model
    fetch_data
  fi
  say "== set-up and build: $(((SECONDS - begin) / 60)) min $(((SECONDS - begin) % 60)) s"
fi
prepare_mpirun 1 # allows mpirun as root, for the tests that start it

RESULTS=()
FAILED=0

# run_suite NAME COMMAND… : output on the console and in a log; the last line of the runner is its summary.
run_suite() {
  local name=$1 suite_begin=$SECONDS status=0 counts
  shift
  say ""
  say "== $name"
  { "$@" 2>&1 </dev/null; } | tee "$LOGS/test-$name.log" || status=${PIPESTATUS[0]}
  counts=$(grep -E '^[0-9]+% tests passed|^=+ .*(passed|failed|error|no tests ran).* =+$|^[0-9]+ (passed|failed|skipped)' \
    "$LOGS/test-$name.log" | tail -n 1 | sed 's/^=* *//; s/ *=*$//') || counts="no summary: see $LOGS/test-$name.log"
  RESULTS+=("$(printf '%-7s %s  %5.1f min  %s' "$name" "$([ "$status" -eq 0 ] && echo ok || echo FAILED)" \
    "$(awk "BEGIN { print ($SECONDS - $suite_begin) / 60 }")" "$counts")")
  if [ "$status" -ne 0 ]; then FAILED=1; fi
}

# say_failures LOG : the tests of a suite's log that failed, each with the first lines of what it said.
say_failures() {
  awk '/^ *[0-9]+\/[0-9]+ Test +#/ { left = /\*\*\*/ && !/\*\*\*Skipped/ ? 30 : 0 } # ctest
       /^(FAILED|ERROR) / { left = 1 }                                          # pytest
       /^FAILED: / { left = 1 }                                                 # bench
       left > 0 && !/^ +Start +[0-9]+: / { print substr($0, 1, 400); --left }' "$1" | tr -s .
}

sanitized() {
  local preset=$1
  build "$preset" all
  ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1 \
    ctest --test-dir "build/$preset" --parallel "$JOBS" --output-on-failure --no-tests=error
}

fuzzed() {
  build asan fuzz_targets
  tests/fuzz/run.sh
}

# Every program says its figures and ends with 0; what it measures is read, not judged.
bench_programs() {
  local program passed=0 failed=0
  for program in tests/bench/*_bench.py; do
    say "-- $program"
    if "$PYTHON" "$program" --small; then passed=$((passed + 1)); else failed=$((failed + 1)) && say "FAILED: $program"; fi
  done
  say "$passed passed, $failed failed"
  [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
}

for suite in "${SUITES[@]}"; do
  case $suite in
    unit) run_suite unit ctest --test-dir build/release --parallel "$JOBS" --output-on-failure --no-tests=error ;;
    system) run_suite system "$PYTHON" -m pytest -q -rfEs --tb=short tests/system ;;
    # They wait more than they compute.
    faults) run_suite faults "$PYTHON" -m pytest -q -rfEs --tb=short -n $((JOBS + 1)) --dist worksteal tests/faults ;;
    cluster) run_suite cluster "$PYTHON" -m pytest -q -rfEs --tb=short tests/cluster ;;
    parity) run_suite parity "$PYTHON" -m pytest -q -rfEs --tb=short tests/parity ;;
    asan | tsan) run_suite "$suite" sanitized "$suite" ;;
    fuzz) run_suite fuzz fuzzed ;;
    bench) run_suite bench bench_programs ;;
  esac
done

# Whoever sees only the end of the output (a mail of CI) sees what failed and how it began.
if [ "$FAILED" -ne 0 ]; then
  say ""
  say "== failures"
  for suite in "${SUITES[@]}"; do say_failures "$LOGS/test-$suite.log"; done
fi
say ""
say "== tests"
for line in "${RESULTS[@]}"; do say "$line"; done
say "total   $(awk "BEGIN { printf \"%.1f\", ($SECONDS - $begin) / 60 }") min"
exit "$FAILED"
