#!/usr/bin/env bash
# Runs the fuzz targets of a build one after the other: `tests/fuzz/run.sh [TARGET…]`, all without a name. The suite `fuzz`
# of tests/run.sh builds first. BREAKEVEN_FUZZ_SECONDS: how long each (default 20, under BREAKEVEN_FULL 600).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

BUILD=build/asan
# What the fuzzer finds interesting stays here from run to run, and so does what it finds wrong.
STATE=.cache/fuzz
SECONDS_EACH=${BREAKEVEN_FUZZ_SECONDS:-$([ -n "${BREAKEVEN_FULL:-}" ] && echo 600 || echo 20)}
TARGETS=("$@")
if [ ${#TARGETS[@]} -eq 0 ]; then TARGETS=(safetensors tokenizer config template dataset records); fi

# Inputs of parsers that take a path are files for a moment: in memory, where there is such a folder.
TMPDIR=$(mktemp -d "$([ -w /dev/shm ] && echo /dev/shm || echo "${TMPDIR:-/tmp}")/breakeven_fuzz_XXXXXX")
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT

# The folder of a target's seeds, into the array SEEDS.
prepare_seeds() {
  local target=$1 made=$STATE/seeds/$1
  SEEDS=("tests/fuzz/seeds/$target")
  case $target in
    config) # the repository's own configs are the best seeds
      rm -rf "$made" && mkdir -p "$made"
      find configs -name '*.yaml' | while read -r file; do cp "$file" "$made/$(echo "$file" | tr / _)"; done
      SEEDS+=("$made")
      ;;
    dataset) # HDF5 files are made from their description
      rm -rf "$made" && mkdir -p "$made"
      cat tests/fuzz/seeds/dataset/*.json | sed "s|@FOLDER@|$made|" | "$BUILD/tests/dataset_tool" >"$made.log"
      SEEDS=("$made")
      ;;
  esac
}

# Bytes of the longest input: what the parser's depth and sizes need, no more.
longest() {
  case $1 in
    dataset) echo 131072 ;;
    config | template) echo 8192 ;;
    *) echo 65536 ;;
  esac
}

# statistic NAME LOG: of libFuzzer's last lines.
statistic() { sed -n "s/^stat::$1: *//p" "$2" | tail -n 1; }

fuzz() {
  local target=$1 log=$STATE/$1.log status=0 options=() coverage findings
  mkdir -p "$STATE/corpus/$target" "$STATE/findings"
  prepare_seeds "$target"
  if [ -f "tests/fuzz/dictionaries/$target.dict" ]; then options+=("-dict=tests/fuzz/dictionaries/$target.dict"); fi
  # -seed: the same build and corpus take the same way. -timeout is of one input, under the sanitizers.
  UBSAN_OPTIONS=print_stacktrace=1 ASAN_OPTIONS=detect_leaks=1 \
    LSAN_OPTIONS=suppressions=tests/support/lsan_suppressions.txt:print_suppressions=0 \
    "$BUILD/tests/fuzz/${target}_fuzz" -seed=1 -max_total_time="$SECONDS_EACH" -timeout=10 -malloc_limit_mb=512 \
    -rss_limit_mb=2048 -max_len="$(longest "$target")" -print_final_stats=1 \
    -artifact_prefix="$STATE/findings/$target-" "${options[@]}" "$STATE/corpus/$target" "${SEEDS[@]}" \
    >"$log" 2>&1 </dev/null || status=$?
  coverage=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)
  findings=$([ "$status" -eq 0 ] && echo 0 || echo 1)
  printf '%-12s %8s executions  %6s a second  %6s edges  %5s new units  %s findings\n' "$target" \
    "$(statistic number_of_executed_units "$log")" "$(statistic average_exec_per_sec "$log")" "${coverage:-0}" \
    "$(statistic new_units_added "$log")" "$findings"
  if [ "$status" -ne 0 ]; then
    grep -E '^==[0-9]+==|runtime error|SUMMARY|Test unit written|what\(\)|^ +#[0-9]+ .* in breakeven' "$log" | head -n 25
    printf 'again: %s/tests/fuzz/%s_fuzz FILE, with the file named above; the whole log: %s\n' "$BUILD" "$target" "$log"
  fi
  return "$status"
}

passed=0
failed=0
for target in "${TARGETS[@]}"; do
  if fuzz "$target"; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
done
if [ "$failed" -eq 0 ]; then printf '%s passed\n' "$passed"; else printf '%s passed, %s failed\n' "$passed" "$failed"; fi
[ "$failed" -eq 0 ]
