"""Ranks that stand still: the watchdog ends the job, names the rank to blame, and the same command goes on."""

import re
import time

import pytest
from program import FAULTY, run
from tiny import study_in
from training_runs import checkpoints, expect_the_same_end, train

LIMIT = 3
MOST = LIMIT + 15  # with start-up, reports, and the launcher's end of the job, on a busy machine
LIMITS = [f"watchdog.{name}_seconds={LIMIT}" for name in ("step", "checkpoint", "eval")]


def hang(command, *arguments, most=MOST, **options):
    begin = time.monotonic()
    result = command(*arguments, **options)
    seconds = time.monotonic() - begin
    assert result.code == 70, (result.code, result.err)
    assert seconds < most, (seconds, result.err)
    verdicts = re.findall(r"error: watchdog: (.*)", result.err)
    assert len(verdicts) == 1, result.err
    return verdicts[0], result.err


@pytest.mark.fault(7)
def test_a_rank_stuck_in_input(prepared, whole, tmp_path):
    output = tmp_path / "run"
    verdict, err = hang(train, prepared, output, *LIMITS, fault="train.input@7:1=hang")
    assert re.match(r"rank 1 on \S+ is in phase input, \d+ collectives? behind", verdict), verdict
    # The other waits for it where gradients meet, and both show their stacks.
    waiting = err.split("[rank 0] warning: watchdog")[1].split("[rank")[0]
    assert re.search(r"phase step, step 7", waiting), waiting
    assert re.search(r"data \w+, call \d+(, of .*)? at optim/\w+\.cpp:\d+, not finished", waiting), waiting
    stuck = err.split("[rank 1] warning: watchdog")[1].split("[rank")[0]
    assert "FaultPoint" in stuck and "main thread" in stuck, stuck
    assert "watchdog" in (output / "log.txt").read_text()
    assert train(prepared, output).code == 0
    expect_the_same_end(output, whole)


@pytest.mark.fault(7)
@pytest.mark.parametrize("action, said", [("hang", r"is in phase start-up, \d+ collectives? behind"), ("stop", r"is stopped \(SIGSTOP")])
def test_a_rank_that_does_not_start(prepared, tmp_path, action, said):
    """Before it has a device, let alone a first step."""
    limit = f"watchdog.startup_seconds={LIMIT}"
    verdict, _ = hang(train, prepared, tmp_path / "run", limit, fault=f"comm.bind_device:1={action}")
    assert re.match(rf"rank 1 on \S+ {said}", verdict), verdict
    assert limit.replace("=", ": ") in verdict, verdict


def test_who_waits_for_a_slow_reader_of_the_result_has_no_limit(prepared, tmp_path):
    result = train(prepared, tmp_path / "run", "watchdog.closing_seconds=1", fault="result.print=sleep:3000")
    assert result.code == 0, result.err


@pytest.mark.fault(7)
@pytest.mark.parametrize("action, said", [("hang", r"is in phase closing, \d+ collectives? behind"), ("stop", r"is stopped \(SIGSTOP")])
def test_a_rank_that_does_not_end(prepared, whole, tmp_path, action, said):
    """The work is done and saved; the job must still come to an end."""
    output, limit = tmp_path / "run", f"watchdog.closing_seconds={LIMIT}"
    verdict, _ = hang(train, prepared, output, limit, fault=f"world.close:1={action}")
    assert re.match(rf"rank 1 on \S+ {said}", verdict), verdict
    assert limit.replace("=", ": ") in verdict, verdict
    assert train(prepared, output).code == 0
    expect_the_same_end(output, whole)


@pytest.mark.fault(7)
def test_a_rank_stuck_in_a_step(prepared, whole, tmp_path):
    output = tmp_path / "run"
    verdict, _ = hang(train, prepared, output, *LIMITS, fault="train.bucket@7:0=hang")
    assert re.match(r"rank 0 on \S+ is in phase step", verdict), verdict
    assert train(prepared, output).code == 0
    expect_the_same_end(output, whole)


@pytest.mark.fault(8)
@pytest.mark.parametrize("rank", [0, 1])
def test_a_stopped_rank(prepared, whole, tmp_path, rank):
    output = tmp_path / "run"
    verdict, _ = hang(train, prepared, output, *LIMITS, fault=f"train.step@7:{rank}=stop")
    assert re.match(rf"rank {rank} on \S+ is stopped \(SIGSTOP", verdict), verdict
    assert train(prepared, output).code == 0
    expect_the_same_end(output, whole)


@pytest.mark.fault(9)
@pytest.mark.parametrize("fault, rank", [("checkpoint.before_manifest@6:0=hang", 0), ("checkpoint.after_part@6:1=hang", 1)])
def test_a_checkpoint_that_is_never_written(prepared, whole, tmp_path, fault, rank):
    """The writing thread hangs; the run notices where it waits for it, at the next save."""
    output = tmp_path / "run"
    verdict, _ = hang(train, prepared, output, *LIMITS, fault=fault)
    assert re.match(rf"rank {rank} on \S+ is in phase checkpoint", verdict), verdict
    assert checkpoints(output)[-1] != "step_000006"
    assert train(prepared, output).code == 0
    expect_the_same_end(output, whole)


@pytest.mark.fault(9)
def test_scoring_that_hangs(prepared, tmp_path):
    settings = [f"output={tmp_path}/eval", "batch_tokens=100", f"watchdog.eval_seconds={LIMIT}"]
    command = ["eval", prepared.eval, *[part for setting in settings for part in ("--set", setting)]]
    verdict, _ = hang(run, *command, ranks=2, env={"BREAKEVEN_FAULT": "eval.stop_signal@2:1=hang"}, program=FAULTY)
    assert re.match(r"rank 1 on \S+ is in phase eval", verdict), verdict


STUDY = """
model: {0}/model
task: task.yaml
prompts: variants.yaml
training_prompt: {{name: plain, end_of_target: "<|endoftext|>"}}
output: {0}/study
sizes: [6]
seeds: [1, 2]
learning_rates: [5e-3]
train:
  epochs: 1
  batching: {{global_batch: {{examples: 6}}, micro_batch_tokens: 128}}
  schedule: {{kind: constant}}
verdict: {{resamples: 200, coverage_studies: 0}}
timed_documents: 0
threads: 1
"""


@pytest.mark.fault(9)
@pytest.mark.parametrize("fault, key, phase", [
    ("study.arm_done@1:1=hang", "eval", "eval"), ("train.bucket@0:1=hang", "step", "step"), ("world.close:1=hang", "closing", "closing"),
])  # fmt: skip
def test_a_study_that_hangs(own, fault, key, phase):
    """While it scores, in a step of one of its trainings, and when its report is written."""
    study = study_in(own, STUDY).study
    limit = f"train.watchdog.{key}_seconds={LIMIT}"
    env = {"BREAKEVEN_FAULT": fault}
    verdict, _ = hang(run, "study", study, "--set", limit, ranks=2, env=env, program=FAULTY, most=MOST + 30)
    assert re.match(rf"rank 1 on \S+ is in phase {phase}", verdict), verdict
    on = run("study", study, ranks=2, timeout=240)
    assert on.code == 0, on.err


@pytest.mark.fault(13)
def test_a_slow_rank_is_named_and_does_no_harm(prepared, whole, tmp_path):
    output = tmp_path / "run"
    result = train(prepared, output, fault="train.step@2+:1=sleep:100")
    assert result.code == 0, result.err
    expect_the_same_end(output, whole)
    named = re.findall(r"mostly waits for rank (\d)", result.err)
    assert named.count("1") >= 9, result.err
