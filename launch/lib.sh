# Shared by launch/quickstart.sh and tests/run.sh: set-up, build, and running a step so that a failure explains itself.
# Source it with the repository's root as working directory.

CACHE=.cache
LOGS=$CACHE/logs
STAMPS=$CACHE/stamps
PYTHON=.venv/bin/python
JOBS=${JOBS:-$(nproc)}
mkdir -p "$LOGS" "$STAMPS"

say() { printf '%s\n' "$*" >&2; }

die() {
  say "error: $*"
  exit 1
}

# fingerprint WORD… : hash of the words and of every word that is a file.
fingerprint() {
  {
    printf '%s\n' "$@"
    for word in "$@"; do
      if [ -f "$word" ]; then cat -- "$word"; fi
    done
  } | sha256sum | cut -c1-32
}

# is_done NAME FINGERPRINT: the step was finished with the same inputs.
is_done() { [ "$(cat "$STAMPS/$1" 2>/dev/null)" = "$2" ]; }
mark_done() { printf '%s\n' "$2" >"$STAMPS/$1"; }

# run_step NAME WHAT COMMAND… : runs the command with its output in a log of its own, and says how long it took. On
# failure: which step, the end of its log, and how to go on; then the script ends with the command's exit code.
run_step() {
  local name=$1 what=$2 begin=$SECONDS status=0 log
  shift 2
  log=$LOGS/$name.log
  say "== $name: $what"
  if [ "${SHOW_OUTPUT:-}" = "$name" ]; then
    { "$@" 2>&1; } | tee "$log" || status=${PIPESTATUS[0]}
  else
    "$@" >"$log" 2>&1 </dev/null || status=$?
  fi
  if [ "$status" -ne 0 ]; then
    if [ "${SHOW_OUTPUT:-}" != "$name" ]; then tail -n 25 "$log" >&2; fi
    say ""
    say "error: the step '$name' failed with exit code $status after $((SECONDS - begin)) s. Its whole output: $log"
    say "To go on when the cause is removed, give the same command again: ${RESUME_COMMAND:-$0}"
    say "What was finished before is not done again."
    exit "$status"
  fi
  say "   done in $((SECONDS - begin)) s"
}

# missing_packages LIST… : names of Debian packages in these files that are not installed.
missing_packages() {
  local package
  for package in $(sed 's/#.*//' "$@"); do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || printf '%s ' "$package"
  done
}

install_packages() {
  local sudo=$1
  shift
  # A fresh image has no lists; an old one may name versions that are gone.
  $sudo apt-get update && $sudo env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "$@"
}

# setup_packages LIST… : installs what is missing where this user may, else prints the command and stops.
setup_packages() {
  command -v dpkg-query >/dev/null || {
    say "note: no dpkg here; make sure that this machine has what $* name"
    return 0
  }
  local missing sudo=
  missing=$(missing_packages "$@")
  if [ -z "$missing" ]; then return 0; fi
  if [ "$(id -u)" -ne 0 ]; then
    sudo=sudo
    if ! sudo -n true 2>/dev/null; then
      say "These Debian packages are missing, and this user may not install them without a password:"
      say "    sudo apt-get update && sudo apt-get install --yes --no-install-recommends $missing"
      die "run the command above, then ${RESUME_COMMAND:-$0} again"
    fi
  fi
  # shellcheck disable=SC2086  # a list of names
  run_step packages "installing Debian packages: $missing" install_packages "$sudo" $missing
}

# setup_python REQUIREMENTS: .venv with exactly these wheels.
setup_python() {
  local requirements=$1 stamp
  stamp=$(fingerprint "$requirements" requirements.txt)
  if [ -x "$PYTHON" ] && is_done "python-$(basename "$requirements" .txt)" "$stamp"; then return 0; fi
  if [ ! -x "$PYTHON" ]; then run_step venv "a Python environment in .venv" python3 -m venv .venv; fi
  run_step wheels "installing $requirements into .venv (torch is large: some minutes on a fresh machine)" \
    "$PYTHON" -m pip install --disable-pip-version-check --requirement "$requirements"
  mark_done "python-$(basename "$requirements" .txt)" "$stamp"
}

# configure PRESET CMAKE_OPTION… : a folder of another compiler from scratch, for CMake then forgets what the preset says.
configure() {
  local said status=0
  said=$(cmake --preset "$@" 2>&1) || status=$?
  printf '%s\n' "$said"
  if [[ $said == *"require your cache to be deleted"* ]]; then
    cmake --preset "$@" --fresh
  else
    return "$status"
  fi
}

# build PRESET TARGET… [-- CMAKE_OPTION…]
build() {
  local preset=$1 targets=() options=()
  shift
  while [ $# -gt 0 ] && [ "$1" != -- ]; do
    targets+=("$1")
    shift
  done
  if [ $# -gt 0 ]; then
    shift
    options=("$@")
  fi
  run_step "configure-$preset" "cmake --preset $preset" configure "$preset" "${options[@]}"
  run_step "build-$preset" "compiling (log: $LOGS/build-$preset.log)" \
    cmake --build "build/$preset" --parallel "$JOBS" --target "${targets[@]}"
}

fetch_model() {
  if [ -f models/SmolLM2-135M-Instruct/config.json ]; then return 0; fi
  mkdir -p models
  run_step model "fetching SmolLM2-135M-Instruct (98 MB, Apache-2.0) and turning it into a Hugging Face folder" \
    "$PYTHON" launch/convert_smollm2.py --output models/SmolLM2-135M-Instruct
}

fetch_data() {
  local stamp
  stamp=$(fingerprint launch/fetch_catalogue.py)
  if [ -f data/catalogue/SOURCES.json ] && [ -f data/catalogue/test.jsonl ] && is_done data "$stamp"; then return 0; fi
  run_step data "making the data set from Debian's package catalogue" \
    "$PYTHON" launch/fetch_catalogue.py --output data/catalogue
  mark_done data "$stamp"
}

# What mpirun needs here, into the array MPIRUN: $1 ranks on this machine.
prepare_mpirun() {
  local ranks=$1
  MPIRUN=(mpirun -n "$ranks" --bind-to none)
  if [ "$ranks" -gt "$(nproc)" ]; then MPIRUN+=(--oversubscribe --mca mpi_yield_when_idle 1); fi
  if [ "$(id -u)" -eq 0 ]; then export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1; fi
}
