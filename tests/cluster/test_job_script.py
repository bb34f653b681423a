"""cluster/slurm/job.sh without Slurm: stand-ins for srun, scontrol and squeue say what happens and note what they are asked."""

import dataclasses
import os
import pathlib
import signal
import subprocess

import pytest
from jobs import TEMPLATES, has_program
from program import ROOT, until

JOB = TEMPLATES / "job.sh"

# Each start of the ranks takes the next line of `plan`: a code, or "wait" for SIGUSR1 and code 75;
# + makes a checkpoint, s an entry in a study's state. While the file `dead` is there a node does not answer; while `hangs` is, no
# start ends.
SRUN = r"""#!/bin/bash
case $1 in --mpi=none) while [ -e "$STUBS/hangs" ]; do sleep 0.1; done; [ "${*: -1}" != true ] || [ ! -e "$STUBS/dead" ]; exit;; esac
line=$(head -n 1 "$STUBS/plan"); sed -i 1d "$STUBS/plan"
echo "start ${*: -1}" >>"$STUBS/calls"; mkdir -p "$STUBS/out"
case $line in *+) mkdir -p "$STUBS/out/checkpoints"; wc -l <"$STUBS/calls" >"$STUBS/out/checkpoints/latest";; esac
case $line in
  wait*) trap 'exit 75' USR1; touch "$STUBS/waiting"; for _ in {1..300}; do sleep 0.1; done;;
  *s) echo '"test/base/plain": 0.5,' >>"$STUBS/out/study_state.json"; exit "${line%s}";;
  *) exit "${line%+}";;
esac
"""
SCONTROL = r"""#!/bin/bash
if [ "$1" = requeue ]; then echo "requeue $2" >>"$STUBS/calls"; kill -TERM $PPID; exit; fi
echo "JobId=7 EndTime=$(cat "$STUBS/end") TimeLimit=1"
"""
SQUEUE = '#!/bin/bash\ncat "$STUBS/state"\n'
PROGRAM = r"""#!/bin/bash
[ "$1" = launch ] && printf 'dataset\tdata\t/shared/train.h5\noutput\toutput\t%s/out\n' "$STUBS"
"""


@dataclasses.dataclass
class Stubs:
    folder: pathlib.Path

    def __post_init__(self):
        for name, text in (("srun", SRUN), ("scontrol", SCONTROL), ("squeue", SQUEUE), ("program", PROGRAM)):
            self.stand_in(name, text)
        (self.folder / "state").write_text("RUNNING\n")
        (self.folder / "end").write_text("Unknown\n")

    def stand_in(self, name, text):
        """A program of this name, in bash, comes before the real one."""
        (self.folder / name).write_text(text if text.startswith("#!") else f"#!/bin/bash\n{text}\n")
        (self.folder / name).chmod(0o755)

    def start(self, *plan, **variables):
        (self.folder / "plan").write_text("".join(f"{line}\n" for line in plan))
        for name in ("calls", "waiting"):
            (self.folder / name).unlink(missing_ok=True)
        env = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM_", "BREAKEVEN_"))}
        env.update(STUBS=str(self.folder), PATH=f"{self.folder}:{env['PATH']}", SLURM_JOB_ID="7", SLURM_JOB_NAME="j",
                   SLURM_JOB_NODELIST="n1", SLURM_NNODES="1", SLURM_NTASKS="2", SLURM_SUBMIT_DIR=str(self.folder),
                   BREAKEVEN_PROGRAM=str(self.folder / "program"), **variables)  # fmt: skip
        return subprocess.Popen(["bash", "-c", f". {JOB}; run_job train config.yaml --set seed=4"], env=env, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip

    def finish(self, process):
        """Code, what it said, what it asked of Slurm."""
        text = process.communicate(timeout=60)[0]
        calls = (self.folder / "calls").read_text().splitlines() if (self.folder / "calls").exists() else []
        return process.returncode, text, calls

    def run(self, *plan, **variables):
        return self.finish(self.start(*plan, **variables))

    def signal(self, process, number):
        until("the ranks to run", (self.folder / "waiting").exists)
        process.send_signal(number)


@pytest.fixture
def stubs(tmp_path):
    return Stubs(tmp_path)


def test_success_ends_the_job_and_hands_the_settings_on(stubs):
    code, text, calls = stubs.run("0")
    assert (code, calls) == (0, ["start seed=4"]), text
    assert not (stubs.folder / "j-7.attempts").exists()


@pytest.mark.parametrize("fatal", [64, 65, 73, 74, 78, 127])
def test_what_would_end_the_same_is_not_started_again(stubs, fatal):
    code, text, calls = stubs.run(fatal, 0)
    assert (code, len(calls)) == (fatal, 1), text


@pytest.mark.parametrize("retried", [1, 70, 76, 134, 137, 139])
def test_crashes_are_started_again_in_the_allocation(stubs, retried):
    code, text, calls = stubs.run(retried, 0)
    assert (code, len(calls)) == (0, 2), text
    assert sorted(path.name for path in stubs.folder.glob("*.log")) == ["j-7.r0.a1.log", "j-7.r0.a2.log"]


@pytest.mark.fault(21)
def test_three_starts_without_a_checkpoint_are_enough(stubs):
    code, text, calls = stubs.run(137, 137, 137, 0)
    assert (code, len(calls)) == (70, 3), text
    assert "3 starts without a new checkpoint or record, the last ended with 137: giving up" in text


def test_a_new_checkpoint_sets_the_count_back(stubs):
    code, text, calls = stubs.run(137, 137, "137+", 137, 137, 0)
    assert (code, len(calls)) == (0, 6), text


def test_a_study_that_adds_to_its_state_is_not_given_up(stubs):
    code, text, calls = stubs.run("137s", "137s", "137s", "137s", "0")
    assert (code, len(calls)) == (0, 5), text


def test_a_count_that_was_not_written_whole_begins_anew(stubs):
    (stubs.folder / "j-7.attempts").touch()
    code, text, calls = stubs.run(137, 137, 137, 0)
    assert (code, len(calls)) == (70, 3), text


def test_starts_that_cannot_be_counted_end_the_job(stubs):
    """As on a full disk: the limit would never be reached."""
    (stubs.folder / "j-7.attempts.new").mkdir()
    code, text, calls = stubs.run(137, 0)
    assert (code, calls) == (73, []) and "cannot be written" in text, text


def test_the_count_goes_on_over_requeues(stubs):
    """As when a node fails at once, again and again: each time Slurm starts the script anew."""
    for restart in range(3):
        code, text, calls = stubs.run("75", SLURM_RESTART_COUNT=str(restart))
        assert calls == ["start seed=4", "requeue 7"], text
    code, text, calls = stubs.run("0", SLURM_RESTART_COUNT="3")
    assert (code, calls) == (70, []), text


def test_datasets_of_one_name_are_staged_apart(stubs, tmp_path):
    stubs.stand_in("program", "[ \"$1\" = launch ] && printf 'dataset\\tdata\\t/a/x.h5\\ndataset\\tvalidation.data\\t/b/x.h5\\n"
                       "output\\toutput\\t%s/out\\n' \"$STUBS\"")  # fmt: skip
    stubs.stand_in("sbcast", 'echo "copy $2 $3" >>"$STUBS/calls"')
    code, text, calls = stubs.run("0", BREAKEVEN_STAGE="/scratch")
    assert code == 0, text
    train, validation = "/scratch/breakeven-7/data/x.h5", "/scratch/breakeven-7/validation.data/x.h5"
    assert calls == [f"copy /a/x.h5 {train}", f"copy /b/x.h5 {validation}", f"start validation.data={validation}"], text


def test_saved_is_requeued_and_the_script_waits_to_be_ended(stubs):
    code, text, calls = stubs.run("75+")
    assert calls == ["start seed=4", "requeue 7"], text
    assert code == -signal.SIGTERM, "ended by Slurm's signal: an end of its own would be the job's end"


def test_usr1_reaches_the_ranks_and_requeues(stubs):
    process = stubs.start("wait")
    stubs.signal(process, signal.SIGUSR1)
    code, text, calls = stubs.finish(process)
    assert calls == ["start seed=4", "requeue 7"], text
    assert "ended with 75" in text, "the code of the ranks, not that of the wait that the signal broke"


def test_term_saves_and_does_not_requeue(stubs):
    process = stubs.start("wait")
    stubs.signal(process, signal.SIGTERM)
    code, text, calls = stubs.finish(process)
    assert (code, calls) == (75, ["start seed=4"]), text


@pytest.mark.parametrize("name", ["USR1", "TERM"])
def test_a_signal_while_files_are_staged_is_kept(stubs, name):
    """As when a job is preempted before its ranks run. A job that was to end had nothing to save."""
    stubs.stand_in("sbcast", f'echo copy >>"$STUBS/calls"; kill -{name} $PPID')
    code, text, calls = stubs.run("0", BREAKEVEN_STAGE="/scratch")
    assert f"SIG{name}: no ranks run" in text
    if name == "USR1":
        assert (code, calls) == (-signal.SIGTERM, ["copy", "requeue 7"]), text
    else:
        assert (code, calls) == (75, ["copy"]), text


@pytest.mark.parametrize("name", ["USR1", "TERM"])
def test_a_signal_between_two_attempts_is_kept(stubs, name):
    stubs.stand_in("sleep", f'[ "$1" != 1 ] || kill -{name} $PPID')
    code, text, calls = stubs.run("139", "0")
    if name == "USR1":
        assert (code, calls) == (-signal.SIGTERM, ["start seed=4", "requeue 7"]), text
    else:
        assert (code, calls) == (139, ["start seed=4"]), text


def test_a_job_whose_time_is_up_before_its_ranks_run_is_not_requeued_for_ever(stubs):
    stubs.stand_in("sbcast", "kill -USR1 $PPID")
    for restart in range(3):
        _, text, calls = stubs.run("0", BREAKEVEN_STAGE="/scratch", SLURM_RESTART_COUNT=str(restart))
        assert calls == ["requeue 7"], text
    code, text, calls = stubs.run("0", BREAKEVEN_STAGE="/scratch", SLURM_RESTART_COUNT="3")
    assert (code, calls) == (70, []), text


def test_a_job_that_slurm_is_ending_is_not_requeued(stubs):
    (stubs.folder / "state").write_text("COMPLETING\n")
    code, text, calls = stubs.run("75")
    assert (code, calls) == (75, ["start seed=4"]), text


def test_an_element_of_an_array_requeues_itself(stubs):
    _, text, calls = stubs.run("75", SLURM_ARRAY_JOB_ID="5", SLURM_ARRAY_TASK_ID="2")
    assert calls == ["start seed=4", "requeue 5_2"], text


def test_a_lost_node_is_a_matter_of_slurm(stubs):
    (stubs.folder / "mpirun").symlink_to("srun")
    _, text, calls = stubs.run("205", "0", BREAKEVEN_LAUNCHER="mpirun")
    assert calls == ["start seed=4", "requeue 7"], text
    assert "mpirun -n 2 --map-by ppr:1:node:pe=1 --bind-to core" in text


@pytest.mark.parametrize("status", [1, 70, 76, 137, 233])
def test_on_a_node_that_does_not_answer_nothing_is_started_again(stubs, status):
    """srun ends with 233 when it cannot start on a node, long before Slurm calls that node down: three starts would be gone within
    seconds. The one that met the loss counts."""
    (stubs.folder / "dead").touch()
    code, text, calls = stubs.run(status, "0")
    assert (code, calls) == (-signal.SIGTERM, ["start seed=4", "requeue 7"]), text
    assert "a node of the job does not answer" in text
    assert (stubs.folder / "j-7.attempts").read_text().startswith("1 ")


def test_a_node_that_answers_nothing_more_does_not_keep_the_job_from_its_requeue(stubs):
    """After a fast reboot a start waits for ever for the former one's end; so does the one that is to remove what was staged."""
    stubs.stand_in("sbcast", "exit 0")
    process = stubs.start("wait", BREAKEVEN_STAGE="/scratch", BREAKEVEN_PROBE_SECONDS="1")
    until("the ranks to run", (stubs.folder / "waiting").exists)
    (stubs.folder / "hangs").touch()
    process.send_signal(signal.SIGUSR1)
    code, text, calls = stubs.finish(process)
    assert (code, calls) == (-signal.SIGTERM, ["start data=/scratch/breakeven-7/data/train.h5", "requeue 7"]), text


def test_a_busy_controller_is_asked_again(stubs):
    stubs.stand_in("sleep", "exit 0")
    stubs.stand_in("squeue", 'echo asked >>"$STUBS/calls"; [ "$(grep -c asked "$STUBS/calls")" -gt 2 ] && echo RUNNING')
    code, text, calls = stubs.run("75")
    assert (code, calls) == (-signal.SIGTERM, ["start seed=4", "asked", "asked", "asked", "requeue 7"]), text


def test_a_controller_that_says_no_end_is_no_end(stubs):
    """`date` takes an empty text for today's midnight."""
    stubs.stand_in("scontrol", 'touch "$STUBS/asked"; exit 1')
    process = stubs.start("wait")
    until("the clock to ask", (stubs.folder / "asked").exists)
    stubs.signal(process, signal.SIGTERM)
    code, text, calls = stubs.finish(process)
    assert (code, calls) == (75, ["start seed=4"]) and "time limit" not in text, text


def test_the_jobs_own_clock_saves_before_the_time_limit(stubs):
    """The end is 100 s away, and the last run's saves took 41 s: twice that, a step of 4 s and half a minute are 116."""
    (stubs.folder / "out").mkdir()
    (stubs.folder / "out" / "metrics.jsonl").write_text(
        '{"event":"step","step":1,"step_seconds":4.0}\n{"event":"checkpoint","step":1,"path":"x","seconds":41}\n')
    now = subprocess.run(["date", "-d", "+100 seconds", "+%Y-%m-%dT%H:%M:%S"], capture_output=True, text=True).stdout
    (stubs.folder / "end").write_text(now)
    # A clock that is faster than the start of the ranks would end the job without one.
    stubs.stand_in("scontrol", SCONTROL.replace("fi\n", 'fi\nuntil [ -e "$STUBS/waiting" ]; do sleep 0.05; done\n'))
    code, text, calls = stubs.run("wait", BREAKEVEN_LEAD_SECONDS="20")
    assert "the time limit is less than 116 s away: saving" in text
    assert calls == ["start seed=4", "requeue 7"], text


def test_the_environment_wins_over_what_a_script_gives(stubs):
    command = f'. {JOB}; set_default A 1 "site x"; set_default B 2 "site x"; echo "$A $B"; bash -c \'echo "$A$B"\''
    done = subprocess.run(["bash", "-c", command], env={"PATH": os.environ["PATH"], "A": "9"}, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert lines[0].endswith("A=9 (environment; site x has '1')") and lines[1].endswith("B=2 (site x)")
    assert lines[2:] == ["9 2", "92"]


def shell_files():
    files = [*TEMPLATES.glob("*.sh"), *TEMPLATES.glob("*.sbatch"), *(ROOT / "cluster").glob("*/*.sh")]
    return sorted(set(files))


def test_shellcheck_has_nothing_to_say():
    if not has_program("shellcheck"):
        pytest.skip("shellcheck is not installed")
    assert len(shell_files()) >= 6
    done = subprocess.run(["shellcheck", "--external-sources", *shell_files()], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout
