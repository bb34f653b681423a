"""The batch templates on a Slurm of two nodes: jobs that are told to save, lose a node, are cancelled, wait for each other. Whatever
happens, a training ends where an undisturbed one ends, bit for bit."""

import json
import os
import re
import signal
import time

import pytest
from jobs import SIZE, TEMPLATES, Slurm, faulty_once, is_pending, settings, stopped_rank
from program import BUILD, ROOT, until
from training_runs import STEPS, resumed_step, trained_bytes


@pytest.fixture
def slurm(lab, tmp_path):
    yield Slurm(lab, tmp_path)
    lab.client("scancel", "--user=root")
    for node in lab.nodes:
        lab.boot(node)


@pytest.fixture(scope="module")
def whole(lab, prepared, tmp_path_factory):
    """The undisturbed training of the template: two nodes, two ranks each."""
    slurm = Slurm(lab, tmp_path_factory.mktemp("whole"))
    job = slurm.sbatch(TEMPLATES / "cpu.sbatch", "train", prepared.train, *settings(slurm.folder / "run"))
    slurm.wait(job)
    log = slurm.logs(job)
    assert [line.split()[:3] for line in log.splitlines() if line[:2] in ("0 ", "1 ", "2 ", "3 ")] == [
        ["0", "n1", "0"], ["1", "n1", "1"], ["2", "n2", "0"], ["3", "n2", "1"]], log  # fmt: skip
    return trained_bytes(slurm.folder / "run")


def submit_pair(slurm, prepared, output):
    """By train_then_eval.sh: a training whose rank 0 stops itself before step 5, and the eval that waits for its end."""
    train = slurm.folder / "train.yaml"
    train.write_text(prepared.train.read_text().replace(str(prepared / "run"), str(output)).replace("max_steps: 6", f"max_steps: {STEPS}")
                     + "checkpoint: {every_steps: 3, asynchronous: false}\n")  # fmt: skip
    evaluation = slurm.folder / "eval.yaml"
    evaluation.write_text(prepared.eval.read_text().replace(str(prepared / "model"), f"{output}/checkpoints/step_{STEPS:06d}")
                          .replace("task.yaml", str(prepared / "task.yaml")).replace("variants.yaml", str(prepared / "variants.yaml"))
                          .replace(str(prepared / "eval"), str(slurm.folder / "eval")))  # fmt: skip
    jobs = slurm.client(TEMPLATES / "train_then_eval.sh", train, evaluation, *SIZE, f"--output={slurm.folder}/%j.out",
                        env=slurm.environment(faulty_once(slurm.folder)))  # fmt: skip
    return *jobs.split(), until("a rank to stop itself", lambda: stopped_rank(str(train)))


def expect_one_eval(slurm, evaluation, train):
    """It ran once, and behind the last end of the training."""
    slurm.wait(evaluation)
    assert [path.name.split(".", 1)[1] for path in slurm.attempts(evaluation)] == ["r0.a1.log"]
    summary = json.loads((slurm.folder / "eval" / "summary.json").read_text())
    assert summary, slurm.logs(evaluation)
    assert slurm.attempts(evaluation)[0].stat().st_mtime > slurm.attempts(train)[-1].stat().st_mtime


@pytest.mark.fault(16)
def test_usr1_saves_and_requeues_and_the_dependent_eval_runs_once(slurm, prepared, whole):
    output = slurm.folder / "run"
    train, evaluation, rank = submit_pair(slurm, prepared, output)
    slurm.client("scancel", "--batch", "--signal=USR1", train)
    until("SIGUSR1 to reach the stopped rank", lambda: is_pending(rank, signal.SIGUSR1))
    slurm.client("scancel", "--signal=CONT", train)
    until("Slurm to requeue the job", lambda: slurm.state(train)["Restarts"] == "1")
    assert slurm.state(evaluation)["Reason"] == "Dependency"
    slurm.wait(train)
    assert slurm.state(train)["Restarts"] == "1", slurm.text(train)
    assert "ended with 75" in slurm.text(train) and "stopped by SIGUSR1" in slurm.logs(train)
    assert [path.name.split(".", 1)[1] for path in slurm.attempts(train)] == ["r0.a1.log", "r1.a1.log"]
    assert trained_bytes(output) == whole
    expect_one_eval(slurm, evaluation, train)


@pytest.mark.fault(14)
def test_a_node_that_crashes_is_waited_for_and_the_training_goes_on(slurm, prepared, whole):
    output = slurm.folder / "run"
    train, evaluation, _ = submit_pair(slurm, prepared, output)
    slurm.lab.crash("n2")
    until("Slurm to requeue the job", lambda: slurm.state(train)["Restarts"] == "1")
    assert slurm.state(evaluation)["Reason"] == "Dependency"
    slurm.lab.boot("n2")
    slurm.wait(train)
    assert "checkpoints/step_000003 at step" in slurm.logs(train), "went on from the newest checkpoint"
    assert trained_bytes(output) == whole
    expect_one_eval(slurm, evaluation, train)


@pytest.mark.fault(15)
def test_a_node_that_is_back_before_slurm_notices(slurm, prepared, whole):
    """Slurm loses no node. What is left of the ranks waits for the others until srun misses its step on the node, or the watchdog
    ends them; and what is left of the step is in the way of the next one."""
    output = slurm.folder / "run"
    env = slurm.environment(faulty_once(slurm.folder), BREAKEVEN_PROBE_SECONDS="5")
    train = slurm.sbatch(TEMPLATES / "cpu.sbatch", "train", prepared.train, *settings(output, "watchdog.step_seconds=6"), env=env)
    rank = until("a rank to stop itself", lambda: stopped_rank(f"output={output}"))
    slurm.lab.crash("n2")
    time.sleep(1)  # how fast the node boots: the fault itself
    slurm.lab.boot("n2")
    os.kill(rank, signal.SIGCONT)
    slurm.wait(train)
    text = slurm.text(train)
    assert re.search(r"ended with (70|137)", text), text
    # No requeue but the script's own, which may not live to call it done.
    assert slurm.state(train)["Restarts"] == str(text.count("a node of the job does not answer")), text
    assert len(slurm.attempts(train)) == 2, text
    assert "checkpoints/step_000003 at step" in slurm.logs(train), "went on from the newest checkpoint"
    assert trained_bytes(output) == whole


@pytest.mark.fault(16)
def test_mpirun_inside_the_allocation_gives_the_same_bits_and_passes_usr1_on(slurm, prepared, whole):
    output = slurm.folder / "run"
    env = slurm.environment(faulty_once(slurm.folder), BREAKEVEN_LAUNCHER="mpirun", BREAKEVEN_MPIRUN_OPTIONS="--bind-to none")
    train = slurm.sbatch(TEMPLATES / "cpu.sbatch", "train", prepared.train, *settings(output), env=env)
    rank = until("a rank to stop itself", lambda: stopped_rank(f"output={output}"))
    slurm.client("scancel", "--batch", "--signal=USR1", train)
    until("SIGUSR1 to reach the stopped rank", lambda: is_pending(rank, signal.SIGUSR1))
    os.kill(rank, signal.SIGCONT)
    slurm.wait(train)
    assert slurm.state(train)["Restarts"] == "1" and "ended with 75" in slurm.text(train), slurm.text(train)
    assert trained_bytes(output) == whole


@pytest.mark.fault(17)
def test_a_cancelled_job_saves_and_stays_cancelled(slurm, prepared, whole):
    output = slurm.folder / "run"
    train, evaluation, _ = submit_pair(slurm, prepared, output)
    slurm.client("scancel", train)  # also wakes the stopped rank
    slurm.wait(train, "CANCELLED")
    assert "] requeued" not in slurm.text(train)
    assert slurm.state(train)["Restarts"] == "0"
    newest = (output / "checkpoints" / "latest").read_text().strip()
    assert newest > "step_000003", f"{newest}: saved when it was told to end\n{slurm.text(train)}{slurm.logs(train)}"
    until("the eval to be dropped", lambda: slurm.state(evaluation)["JobState"] == "CANCELLED")
    again = slurm.sbatch(TEMPLATES / "cpu.sbatch", "train", prepared.train, *settings(output))
    slurm.wait(again)
    assert trained_bytes(output) == whole, "submitted again, it goes on"


@pytest.mark.fault(17)
@pytest.mark.parametrize("end", ["requeue", pytest.param("time limit", marks=pytest.mark.full)])
def test_a_job_that_slurm_ends_has_saved(slurm, prepared, whole, end):
    """By SIGTERM to the ranks, 5 s before SIGKILL. A requeue is Slurm's doing here, and behind the time limit there is none."""
    output = slurm.folder / "run"
    harmless = "--signal=B:URG@1"  # not the template's, which would save before the limit
    env = slurm.environment(faulty_once(slurm.folder))
    train = slurm.sbatch(harmless, TEMPLATES / "cpu.sbatch", "train", prepared.train, *settings(output), env=env)
    until("a rank to stop itself", lambda: stopped_rank(f"output={output}"))
    if end == "requeue":
        slurm.client("scontrol", "requeue", train)  # also wakes the stopped rank
    else:
        slurm.client("scontrol", "update", f"JobId={train}", "EndTime=now")
        slurm.wait(train, "TIMEOUT")
        train = slurm.sbatch(TEMPLATES / "cpu.sbatch", "train", prepared.train, *settings(output))
    slurm.wait(train)
    assert slurm.state(train)["Restarts"] == str(int(end == "requeue")) and "] requeued" not in slurm.text(train), slurm.text(train)
    assert resumed_step(slurm.attempts(train)[-1].read_text()) > 3, f"saved when it was told to end\n{slurm.logs(train)}"
    assert trained_bytes(output) == whole


@pytest.mark.fault(39)
@pytest.mark.parametrize("hidden, code, message", [
    ([], 1, "The application appears to have been direct launched using \"srun\""),  # Open MPI's own
    (["env", "-u", "SLURM_NODELIST"], 64, "error: usage: the launcher started 4 processes (SLURM_STEP_NUM_TASKS)"),
])  # fmt: skip
def test_ranks_that_do_not_find_each_other_are_refused(slurm, prepared, hidden, code, message):
    """srun without PMIx. An MPI that does not see Slurm starts four worlds of one, which would train beside each other."""
    output = slurm.folder / "run"
    words = ["srun", "--nodes=2", "--ntasks-per-node=2", "--mpi=none", *hidden, BUILD / "breakeven", "train", prepared.train]
    done = slurm.lab.client(*words, *settings(output), cwd=ROOT)
    assert done.returncode == code and message in done.stderr, done.stderr
    assert code == 1 or done.stderr.count("error: usage") == 1, "one speaks for all"
    assert not output.exists()


@pytest.mark.fault(18)
@pytest.mark.full
def test_a_job_of_higher_priority_takes_the_nodes_and_gives_them_back(slurm, prepared, whole):
    output = slurm.folder / "run"
    env = slurm.environment(faulty_once(slurm.folder))
    train = slurm.sbatch(TEMPLATES / "cpu.sbatch", "train", prepared.train, *settings(output), env=env)
    rank = until("a rank to stop itself", lambda: stopped_rank(f"output={output}"))
    urgent = slurm.sbatch("--partition=urgent", "--wrap=true", size=["--nodes=2", "--ntasks-per-node=2"])
    until("Slurm's notice to reach the stopped rank", lambda: is_pending(rank, signal.SIGUSR1))
    os.kill(rank, signal.SIGCONT)
    slurm.wait(urgent)
    slurm.wait(train)
    assert slurm.state(train)["Restarts"] == "1" and "ended with 75" in slurm.text(train), slurm.text(train)
    assert trained_bytes(output) == whole


@pytest.mark.fault(1)
def test_a_killed_rank_is_started_again_in_the_allocation(slurm, prepared, whole):
    output = slurm.folder / "run"
    env = slurm.environment(faulty_once(slurm.folder, "train.step@5:3=kill"))
    train = slurm.sbatch(TEMPLATES / "cpu.sbatch", "train", prepared.train, *settings(output), env=env)
    slurm.wait(train)
    assert slurm.state(train)["Restarts"] == "0"
    assert [path.name.split(".", 1)[1] for path in slurm.attempts(train)] == ["r0.a1.log", "r0.a2.log"], slurm.text(train)
    assert trained_bytes(output) == whole


@pytest.mark.fault(21)
def test_a_job_that_gets_nowhere_gives_up(slurm, prepared):
    """Its rank dies in the first step, at every start; before there is a checkpoint."""
    output = slurm.folder / "run"
    env = slurm.environment(faulty_once(slurm.folder, "train.step@1:1=kill"))
    size = ["--nodes=1", "--ntasks-per-node=2", "--cpus-per-task=1", "--time=30"]
    train = slurm.sbatch(TEMPLATES / "cpu.sbatch", "train", prepared.train, *settings(output), env=env, size=size)
    state = slurm.wait(train, "FAILED")
    assert state["ExitCode"] == "70:0" and state["Restarts"] == "0", state
    assert [path.name.split(".", 1)[1] for path in slurm.attempts(train)] == ["r0.a1.log", "r0.a2.log", "r0.a3.log"]
    assert "3 starts without a new checkpoint or record, the last ended with 137: giving up" in slurm.text(train)


def test_a_sweep_stages_the_data_on_every_node_and_trains_each_case(slurm, prepared):
    """Two elements of an array, one node each, the dataset on the node's own disk."""
    cases = slurm.folder / "cases"
    cases.write_text("".join(f"seed={seed} output={slurm.folder}/seed{seed}\n" for seed in (1, 2)))
    size = ["--nodes=1", "--ntasks-per-node=2", "--cpus-per-task=1", "--time=30"]
    job = slurm.sbatch("--array=1-2", TEMPLATES / "sweep.sbatch", cases, "train", prepared.train, size=size,
                       env=slurm.environment(BREAKEVEN_STAGE="/tmp/staged"))  # fmt: skip
    until("both elements to end", lambda: slurm.client("squeue", "--noheader") == "")
    logs = slurm.logs(f"{job}_1") + slurm.logs(f"{job}_2")
    weights = [trained_bytes(slurm.folder / f"seed{seed}", 6)[0] for seed in (1, 2)]
    assert weights[0] != weights[1], "two seeds"
    assert logs.count("trained 6 steps") == 2, logs
    for seed in (1, 2):
        assert "/tmp/staged/breakeven-" in (slurm.folder / f"seed{seed}" / "config.yaml").read_text()
    for node in slurm.lab.nodes:
        assert slurm.lab.run(node, "find", "/tmp/staged", "-type", "f").stdout == "", "staged files are removed"


def test_each_rank_sees_all_gpus_of_its_node(slurm, prepared, tmp_path):
    program = tmp_path / "show"
    program.write_text(
        '#!/bin/bash\nif [ "$1" = launch ]; then printf "output\\toutput\\t%s/run\\n" "$0"; exit; fi\n'
        'echo "rank $SLURM_PROCID on $(hostname): $CUDA_VISIBLE_DEVICES"\n')
    program.chmod(0o755)
    size = [*SIZE[:-1], "--gpus-per-node=2", "--time=5"]
    job = slurm.sbatch(TEMPLATES / "gpu.sbatch", "train", prepared.train, size=size, env=slurm.environment(program))
    slurm.wait(job)
    assert sorted(slurm.logs(job).splitlines()[1:]) == [
        "rank 0 on n1: 0,1", "rank 1 on n1: 0,1", "rank 2 on n2: 0,1", "rank 3 on n2: 0,1"]  # fmt: skip
