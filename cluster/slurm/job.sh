# One Slurm job of breakeven from its first line to its requeue: the part that the templates beside
# this file and the scripts of `breakeven launch --slurm` share. bash; source it in a batch script,
# then: run_job COMMAND CONFIG [--set key=value…]
# shellcheck shell=bash
#
# Variables, all optional. What is in the environment wins over what a script gives by
# `set_default`; each is said in the job's output.
#   BREAKEVEN_PROGRAM         the program
#   BREAKEVEN_PREFIX          words before it, such as: apptainer exec --nv breakeven.sif
#   BREAKEVEN_LAUNCHER        srun (PMIx) | mpirun
#   BREAKEVEN_MPIRUN_OPTIONS  how mpirun maps and binds; the default gives each rank its --cpus-per-task
#   BREAKEVEN_ATTEMPTS        starts without a new checkpoint or record after which the job gives up
#   BREAKEVEN_STAGE           node-local folder that token datasets are copied to; empty: none
#   BREAKEVEN_LOGS            folder for the output of each attempt, JOBNAME-JOBID.rRESTART.aATTEMPT.log
#   BREAKEVEN_PROBE_SECONDS   how long nodes may take to answer before ranks are started again on them
#   BREAKEVEN_LEAD_SECONDS    how long before the time limit to save; measured saves make it longer
#
# Ends with the program's code: 0 done; 75 saved, and Slurm would not requeue; others as in
# README.md's table; 70 also when it gives up. SIGUSR1 (from --signal=B:USR1@T, `scancel --batch --signal=USR1`, or this
# script's own clock) saves and requeues; SIGTERM (scancel) saves and ends.

say() { printf '[%s] %s\n' "$(date +%T)" "$*"; }

declare -A variable_source

# set_default NAME VALUE SOURCE: exports NAME unless it is there already, and says once whose value
# holds.
set_default() {
  local source=$3
  if [ -n "${variable_source[$1]:-}" ]; then return; fi
  if [ -z "${!1+set}" ]; then
    export "$1=$2"
  elif [ "${!1}" = "$2" ]; then
    source=environment
  else
    source="environment; $3 has '$2'"
  fi
  variable_source[$1]=$source
  say "$1=${!1} ($source)"
}

# What Open MPI needs to know. A lost node is noticed after 11 s instead of 8 minutes.
set_mpi_defaults() {
  set_default OMPI_MCA_oob_tcp_keepalive_time 5 default
  set_default OMPI_MCA_oob_tcp_keepalive_intvl 2 default
  set_default OMPI_MCA_oob_tcp_keepalive_probes 3 default
}

# The job, as a name for files and for scontrol.
job_id() {
  if [ -n "${SLURM_ARRAY_JOB_ID:-}" ]; then
    printf '%s_%s' "$SLURM_ARRAY_JOB_ID" "$SLURM_ARRAY_TASK_ID"
  else
    printf '%s' "$SLURM_JOB_ID"
  fi
}

# paths_of KIND: lines "key<TAB>path" of the config's output, datasets, …
paths_of() { awk -F '\t' -v kind="$1" '$1 == kind { print $2 "\t" $3 }' <<<"$config_paths"; }

# What changes when work is kept: the newest checkpoints' names, the number of whole records (those of
# arms of an eval or a study that goes on included) and of entries in a study's state. A folder that
# is not there yet holds none.
progress() {
  {
    find "$output" -path '*/checkpoints/latest' -exec cat {} +
    find "$output" \( -name 'records*.jsonl' -o -path '*/kept_arms/*.jsonl' -o -name study_state.json \) \
      -exec wc -l {} +
  } 2>/dev/null | sort | cksum | tr ' ' -
}

# lead_seconds LEAST FILE…: twice the longest save in these metrics.jsonl, a step, and half a
# minute; at least LEAST.
lead_seconds() {
  local least=$1
  shift
  tail -q -n 5000 -- "$@" 2>/dev/null | awk -v least="$least" '
    match($0, /"event":"checkpoint"/) && match($0, /"seconds":[0-9.e+-]+/) {
      value = substr($0, RSTART + 10, RLENGTH - 10) + 0; if (value > save) save = value }
    match($0, /"step_seconds":[0-9.e+-]+/) {
      value = substr($0, RSTART + 15, RLENGTH - 15) + 0; if (value > step) step = value }
    END { lead = int(2 * save + step + 30.999); print (save > 0 && lead > least) ? lead : least }'
}

# Sends this script SIGUSR1 when the time limit is near, and again: srun drops one that comes before
# its ranks run. Slurm's own --signal knows no save times, and comes up to a minute off.
keep_time() {
  local end_time script=$$ metrics left
  # A controller that is busy answers later. `date` would take no text at all for today's midnight.
  until end_time=$(scontrol show job --oneliner "$SLURM_JOB_ID" | grep -o ' EndTime=[^ ]*') &&
    [ -n "$end_time" ]; do
    sleep 10 >/dev/null 2>&1
  done
  end_time=$(date -d "${end_time#*=}" +%s 2>/dev/null) || return 0 # no limit
  while :; do
    mapfile -t metrics < <(find "$output" -name metrics.jsonl 2>/dev/null)
    lead=$(lead_seconds "$BREAKEVEN_LEAD_SECONDS" "${metrics[@]}")
    left=$((end_time - $(date +%s) - lead))
    if [ "$left" -le 0 ]; then
      say "the time limit is less than $lead s away: saving"
      kill -USR1 "$script" 2>/dev/null || return 0
      left=30
    fi
    sleep "$((left < 30 ? left : 30))" >/dev/null 2>&1
  done
}

# Within a time: after a fast reboot of a node, of which Slurm knows nothing, a start may wait for ever
# for the end of the former one.
on_every_node() {
  timeout --kill-after=5 "$BREAKEVEN_PROBE_SECONDS" \
    srun --mpi=none --ntasks-per-node=1 --ntasks="$SLURM_NNODES" "$@" </dev/null
}

# Whether all nodes of the job can still be started on. A lost one is known to Slurm only after its
# SlurmdTimeout (300 s); until then every start on it fails within seconds.
nodes_answer() { on_every_node true; }

# Copies every token dataset of the config to the nodes' own disks and adds the settings that name
# the copies. Where it does not work the shared file is read instead.
stage_datasets() {
  local key path file files folder=$BREAKEVEN_STAGE/breakeven-$id
  [ -n "$BREAKEVEN_STAGE" ] || return 0
  on_every_node mkdir -p "$folder" || return 0
  staged=$folder
  while IFS=$'\t' read -r key path; do
    files=("$path")
    if [[ $path == *.index.json ]]; then files+=("${path%.index.json}"-*-of-*.h5); fi
    if [ -n "$unsent" ]; then return 0; fi # told to end: no ranks will read what is copied
    # A folder for each key: train and validation files may have one name.
    if ! on_every_node mkdir -p "$folder/$key"; then
      say "no folder for $key on a node: it stays on the shared file system"
      continue
    fi
    for file in "${files[@]}"; do
      if ! sbcast --force "$file" "$folder/$key/${file##*/}"; then
        say "staging of $file failed: $key stays on the shared file system"
        continue 2
      fi
    done
    say "staged $key: $folder/$key/${path##*/} on every node"
    settings+=(--set "$key=$folder/$key/${path##*/}")
  done < <(paths_of dataset)
}

clean_up() {
  if [ -n "${timer:-}" ]; then kill "$timer" 2>/dev/null; fi
  timer=
  if [ -n "${staged:-}" ]; then on_every_node rm -rf -- "$staged"; fi
  staged=
}

# The words that start the ranks, into the array `launch`.
choose_launcher() {
  local cpus=${SLURM_CPUS_PER_TASK:-1}
  case $BREAKEVEN_LAUNCHER in
    srun)
      # A rank that ends alone ends the others after a minute; at once (--kill-on-bad-exit) would be
      # before they have said 75.
      launch=(srun --mpi=pmix --cpus-per-task="$cpus" --kill-on-bad-exit=0 --wait=60)
      # By --gpus-per-node each rank sees all GPUs of the job on its node and takes one by its
      # place: NCCL reaches the others directly only if it sees them. --gpu-bind=none would unset
      # CUDA_VISIBLE_DEVICES, and a rank see other jobs' GPUs as well.
      ;;
    mpirun)
      set_default BREAKEVEN_MPIRUN_OPTIONS \
        "--map-by ppr:${SLURM_NTASKS_PER_NODE:-1}:node:pe=$cpus --bind-to core" default
      # shellcheck disable=SC2206  # words
      launch=(mpirun -n "$SLURM_NTASKS" $BREAKEVEN_MPIRUN_OPTIONS)
      ;;
    *)
      say "BREAKEVEN_LAUNCHER=$BREAKEVEN_LAUNCHER: expected srun or mpirun"
      exit 64
      ;;
  esac
  # shellcheck disable=SC2206  # words
  launch+=(${BREAKEVEN_PREFIX:-} "$BREAKEVEN_PROGRAM")
}

# Counts starts from the same state, over requeues too; ends the job at the limit, with 70 whatever
# the ranks ended with: over a requeue that is not known any more.
count_attempt() {
  local tried=0 before='' now
  now=$(progress)
  if [ -f "$attempts_file" ]; then read -r tried before <"$attempts_file"; fi
  [[ $tried =~ ^[0-9]+$ ]] || tried=0 # a file that was not written whole
  if [ "$tried" -gt 0 ] && [ "$before" = "$now" ]; then tried=$((tried + 1)); else tried=1; fi
  if [ "$tried" -gt "$BREAKEVEN_ATTEMPTS" ]; then
    say "$BREAKEVEN_ATTEMPTS starts without a new checkpoint or record${status:+, the last ended with $status}: giving up"
    exit 70
  fi
  # Starts that are not counted would go on for ever.
  if ! printf '%s %s\n' "$tried" "$now" >"$attempts_file.new" ||
    ! mv "$attempts_file.new" "$attempts_file"; then
    say "$attempts_file: cannot be written: free some space there or give another BREAKEVEN_LOGS"
    exit 73
  fi
}

# pass_on SIGNAL: srun and mpirun both hand SIGUSR1 to all ranks at once, and SIGTERM to some or
# late. Where no ranks run the signal is kept for obey.
pass_on() {
  interrupted=yes
  if [ "$1" = USR1 ]; then save_wanted=yes; else end_wanted=yes; fi
  if [ -n "$child" ]; then
    say "SIG$1: asking the ranks to save"
    kill -USR1 "$child" 2>/dev/null
  else
    say "SIG$1: no ranks run"
    unsent=yes
  fi
}

# What a signal asked for, where ranks have not seen to it: it came while none ran, or before they
# had anything to save.
obey() {
  if [ -n "$save_wanted" ]; then requeue; fi
  if [ -n "$end_wanted" ]; then exit "${status:-75}"; fi
}

# Runs the ranks with their output in a log; their code into `status`.
run_attempt() {
  local log=$BREAKEVEN_LOGS/$name.r${SLURM_RESTART_COUNT:-0}.a$attempt.log again
  say "attempt $attempt: ${launch[*]} $* > $log"
  interrupted=
  "${launch[@]}" "$@" >"$log" 2>&1 </dev/null &
  child=$!
  if [ -n "$unsent" ]; then kill -USR1 "$child" 2>/dev/null; fi # it came behind the last obey
  # A trap ends `wait` early, with a code that looks like a rank's: ask again, until bash has no
  # other answer.
  wait "$child"
  status=$?
  while [ -n "$interrupted" ] && [ "$status" -gt 128 ]; do
    interrupted=
    wait "$child" 2>/dev/null
    again=$?
    if [ "$again" -eq 127 ]; then break; fi
    status=$again
  done
  child=
  say "ended with $status"
  if [ "$status" -ne 0 ]; then tail -n 5 "$log" | sed 's/^/    /'; fi
}

# A controller that is busy refuses, and answers a little later.
patiently() {
  local try
  for try in 1 2 3; do
    "$@" && return
    [ "$try" -eq 3 ] || sleep 5 >/dev/null 2>&1
  done
  return 1
}

# Hands the job back to Slurm, to be started again. Not after scancel or at the time limit: then the
# job is over.
requeue() {
  local state
  clean_up
  state=$(patiently squeue --noheader --jobs="$SLURM_JOB_ID" --format=%T)
  if [ -n "$end_wanted" ] || [ "${state:-RUNNING}" != RUNNING ]; then
    say "not requeued: the job was told to end (${state:-RUNNING}). Submit it again to go on"
    exit 75
  fi
  trap '' USR1
  trap - TERM
  if patiently scontrol requeue "$id"; then
    say "requeued"
    # Slurm ends this script. Ending first would make this the job's end, and those that wait for it
    # by afterok would never run.
    sleep 120 >/dev/null 2>&1 &
    wait $!
  fi
  say "Slurm did not requeue the job: submit it again to go on"
  exit 75
}

run_job() {
  local command=$1 config=$2 config_paths output id name attempts_file attempt=0
  local settings=("${@:3}") launch=() status='' child='' timer='' staged=''
  local interrupted='' save_wanted='' end_wanted='' unsent=''
  set_default BREAKEVEN_LAUNCHER srun default
  set_default BREAKEVEN_ATTEMPTS 3 default
  set_default BREAKEVEN_STAGE '' default
  set_default BREAKEVEN_LOGS "${SLURM_SUBMIT_DIR:-.}" default
  set_default BREAKEVEN_PROBE_SECONDS 60 default
  set_default BREAKEVEN_LEAD_SECONDS 120 default
  set_mpi_defaults
  mkdir -p "$BREAKEVEN_LOGS" || exit 73
  id=$(job_id)
  name=$SLURM_JOB_NAME-$id
  attempts_file=$BREAKEVEN_LOGS/$name.attempts
  # shellcheck disable=SC2086  # words
  config_paths=$(${BREAKEVEN_PREFIX:-} "$BREAKEVEN_PROGRAM" launch "$config" --paths \
    --set "cluster.command=$command" "${settings[@]}") || exit
  output=$(paths_of output | cut -f 2)
  trap 'pass_on USR1' USR1
  trap 'pass_on TERM' TERM
  trap clean_up EXIT
  say "job $id on $SLURM_JOB_NODELIST, restart ${SLURM_RESTART_COUNT:-0}: $command $config, output $output"
  choose_launcher
  stage_datasets
  keep_time &
  timer=$!
  while :; do
    attempt=$((attempt + 1))
    count_attempt
    obey # while files were staged, or since the last attempt
    run_attempt "$command" "$config" "${settings[@]}"
    case $status in
      0)
        rm -f "$attempts_file"
        exit 0
        ;;
      75) requeue ;;
      2 | 64 | 65 | 73 | 74 | 78 | 126 | 127) exit "$status" ;; # the same again would end the same
    esac
    obey
    if [ "$status" -eq 205 ]; then requeue; fi # mpirun: a node is lost
    if ! nodes_answer; then
      say "a node of the job does not answer"
      requeue
    fi
    obey
    sleep 1
  done
}
