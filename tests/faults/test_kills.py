"""Ranks that die: the run goes on from its last checkpoint and ends where an undisturbed one ends, to the bit."""

import os
import re
import signal
import time

import pytest
from program import FAULTY, run
from training_runs import Job, acknowledged, expect_the_same_end, resumed_step, train

SOON = 15  # seconds, on a busy machine; undisturbed a run takes two


def go_on(prepared, output, whole, lost=None):
    """`lost`: what the interrupted job had said. Nothing that it called saved may be gone."""
    resumed = train(prepared, output)
    assert resumed.code == 0, resumed.err
    expect_the_same_end(output, whole)
    if lost is not None:
        assert resumed_step(resumed.err) >= acknowledged(lost), (lost, resumed.err)
    return resumed_step(resumed.err)


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param("train.step@7:1=kill", marks=pytest.mark.fault(1)),
        pytest.param("train.bucket@7:1=kill", marks=pytest.mark.fault(1)),
        pytest.param("train.step@7:0=kill", marks=pytest.mark.fault(2)),
    ],
)
def test_killed_in_a_step(prepared, whole, tmp_path, fault):
    output = tmp_path / "run"
    begin = time.monotonic()
    killed = train(prepared, output, fault=fault)
    assert time.monotonic() - begin < SOON
    assert killed.code == 137, killed.err
    assert f"process rank {fault.split(':')[1][0]} " in killed.err, killed.err
    # The save of step 6 may still be on its way when step 8 begins; that of step 3 has been waited for.
    assert go_on(prepared, output, whole, killed.err) in (3, 6)


@pytest.mark.fault(3)
@pytest.mark.parametrize("background", [True, False])
@pytest.mark.parametrize(
    "fault, newest",
    [
        ("checkpoint.begin@6:0=kill", 3),
        ("checkpoint.begin@6:1=kill", 3),
        ("checkpoint.after_weights@6:0=kill", 3),
        ("checkpoint.after_part@6:1=kill", 3),
        ("checkpoint.before_manifest@6:0=kill", 3),
        ("checkpoint.before_rename@6:0=kill", 3),
        ("checkpoint.before_latest@6:0=kill", 6),
        ("checkpoint.after_latest@6:0=kill", 6),
        ("checkpoint.deleting@3:0=kill", 6),
    ],
)
def test_killed_while_saving(prepared, whole, tmp_path, fault, newest, background):
    if not background and fault.partition("@")[0] not in ("checkpoint.begin", "checkpoint.before_rename"):
        pytest.skip("the same code as in the background")
    output = tmp_path / "run"
    settings = ["checkpoint.keep_last=1", f"checkpoint.asynchronous={str(background).lower()}"]
    killed = train(prepared, output, *settings, fault=fault)
    assert killed.code == 137, killed.err
    assert go_on(prepared, output, whole, killed.err) == newest


@pytest.mark.fault(4)
@pytest.mark.parametrize("rank", [0, 1])
def test_killed_while_prompts_are_scored(prepared, tmp_path, rank):
    def command(output):
        settings = [f"output={tmp_path / output}", "batch_tokens=100"]
        return ["eval", prepared.eval, *[part for setting in settings for part in ("--set", setting)]]

    fault = {"BREAKEVEN_FAULT": f"eval.stop_signal@2:{rank}=kill"}
    killed = run(*command("killed"), ranks=2, env=fault, program=FAULTY)
    assert killed.code == 137, killed.err
    assert not (tmp_path / "killed" / "records.jsonl").exists(), "a part must not look like the whole"
    assert not (tmp_path / "killed" / "summary.json").exists()
    again, undisturbed = run(*command("killed"), ranks=2), run(*command("whole"), ranks=2)
    assert again.code == 0 and undisturbed.code == 0, again.err
    records = [(tmp_path / name / "records.jsonl").read_bytes() for name in ("killed", "whole")]
    assert records[0] == records[1] and len(records[0]) > 1000


@pytest.mark.fault(5)
@pytest.mark.parametrize("name, code", [("SIGSEGV", 139), ("SIGABRT", 134)])
def test_a_rank_that_crashes(prepared, whole, tmp_path, name, code):
    output = tmp_path / "run"
    job = Job(prepared, output, fault="train.step@8:1=stop")
    begin = time.monotonic()
    os.kill(job.stopped, getattr(signal, name))
    ended, err = job.finish()
    assert time.monotonic() - begin < 5 + 5  # mpirun's own grace is the larger part
    assert ended == code, err
    assert "process rank 1 " in err, err
    assert go_on(prepared, output, whole, err) in (3, 6)


@pytest.mark.fault(5)
def test_an_exception_in_one_rank(prepared, whole, tmp_path):
    output = tmp_path / "run"
    begin = time.monotonic()
    thrown = train(prepared, output, fault="train.step@8:1=throw")
    assert thrown.code == 70, thrown.err
    assert time.monotonic() - begin < SOON
    assert len(thrown.messages()) == 1, thrown.err
    assert re.match(r"\[rank 1\] error: internal error: injected fault at train.step", thrown.messages()[0]), thrown.err
    assert go_on(prepared, output, whole, thrown.err) in (3, 6)


@pytest.mark.fault(6)
def test_a_rank_that_leaves_with_0(prepared, whole, tmp_path):
    output = tmp_path / "run"
    left = train(prepared, output, fault="train.step@8:1=exit:0")
    assert left.code != 0, "a batch script would take the job for done"
    assert "finalize" in left.err, left.err
    assert go_on(prepared, output, whole, left.err) in (3, 6)
