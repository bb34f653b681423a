"""Signals that ask a run to save and end: exit code 75, one message, and the same command goes on to the same bits."""

import os
import signal
import time

import pytest
from program import run
from training_runs import Job, acknowledged, checkpoints, expect_the_same_end, resumed_step, train


def go_on(prepared, output, whole, err):
    resumed = train(prepared, output)
    assert resumed.code == 0, resumed.err
    assert resumed_step(resumed.err) == acknowledged(err), resumed.err
    expect_the_same_end(output, whole)


@pytest.mark.fault(16)
@pytest.mark.fault(17)
@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1", "SIGINT"])
def test_a_signal_to_one_rank_saves_and_asks_for_a_requeue(prepared, whole, tmp_path, name):
    output = tmp_path / "run"
    job = Job(prepared, output)
    other = next(pid for pid in job.ranks() if pid != job.stopped)
    target = other if name == "SIGUSR1" else job.stopped
    os.kill(target, getattr(signal, name))
    code, err = job.finish()
    assert code == 75, err
    assert err.count("error:") == 1 and "Run the same command to go on" in err, err
    # The stopped rank has not yet said its part of step 6; the other may have, and then says it with step 7.
    agreed = ("step_000006",) if target == job.stopped else ("step_000006", "step_000007")
    assert checkpoints(output)[-1] in agreed, "saved at the end of the step that carries the flag"
    go_on(prepared, output, whole, err)


@pytest.mark.fault(19)
def test_usr1_to_mpirun_reaches_the_ranks(prepared, whole, tmp_path):
    output = tmp_path / "run"
    job = Job(prepared, output)
    os.kill(job.process.pid, signal.SIGUSR1)
    time.sleep(0.3)  # until mpirun has passed it on
    code, err = job.finish()
    assert code == 75, err
    go_on(prepared, output, whole, err)


@pytest.mark.fault(20)
@pytest.mark.parametrize("point", ["checkpoint.after_weights@6", "checkpoint.before_rename@6"])
def test_a_signal_while_a_checkpoint_is_written(prepared, whole, tmp_path, point):
    """The save that is under way is finished, then the run saves where it stands."""
    output = tmp_path / "run"
    job = Job(prepared, output, "checkpoint.keep_last=9", fault=f"{point}:0=stop")
    os.kill(job.stopped, signal.SIGTERM)
    code, err = job.finish()
    assert code == 75, err
    assert err.count("error:") == 1, err
    assert checkpoints(output)[:2] == ["step_000003", "step_000006"], checkpoints(output)
    go_on(prepared, output, whole, err)


@pytest.mark.fault(20)
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGUSR1"])
def test_a_signal_while_prompts_are_scored(prepared, tmp_path, name):
    """To one rank of two, behind its first batch; the other learns of it where the scores meet."""
    command = ["eval", prepared.eval, "--set", f"output={tmp_path}/eval", "--set", "batch_tokens=100"]
    job = Job(prepared, None, command=command, fault="eval.stop_signal@2:0=stop")
    os.kill(job.stopped, getattr(signal, name))
    code, err = job.finish()
    assert code == 75, err
    assert err.count("error:") == 1 and f"stopped by {name} while prompts were scored" in err, err
    assert not (tmp_path / "eval" / "records.jsonl").exists()
    assert run(*command, ranks=2).code == 0
    assert (tmp_path / "eval" / "records.jsonl").exists()
