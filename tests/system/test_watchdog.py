"""Training and scoring that hang end by themselves, say who was to blame, and go on with the same command; and what is refused before
the first step. The watchdog itself is tested in test_watchdog_job.py."""

import re
import time

import pytest
from conftest import BREAKEVEN, ROOT, execute, mpirun, run
from test_train_system import FAULTY, checkpoints, expect_the_same_end, train, whole  # noqa: F401

LIMIT = 3
MOST = LIMIT + 15  # with start-up, reports, and the launcher's end of the job, on a busy machine
LIMITS = [f"watchdog.{name}_seconds={LIMIT}" for name in ("step", "checkpoint", "eval")]


def hang(command, *arguments, **options):
    begin = time.monotonic()
    result = command(*arguments, **options)
    seconds = time.monotonic() - begin
    assert result.code == 70, (result.code, result.err)
    assert seconds < MOST, (seconds, result.err)
    verdicts = re.findall(r"error: watchdog: (.*)", result.err)
    assert len(verdicts) == 1, result.err
    return verdicts[0], result.err


def test_a_rank_stuck_in_input(prepared, whole, tmp_path):  # noqa: F811
    output = tmp_path / "run"
    verdict, err = hang(train, prepared, output, *LIMITS, fault="train.input@7:1=hang")
    assert re.match(r"rank 1 on \S+ is in phase input, \d+ collectives? behind", verdict), verdict
    # The other waits for it where gradients meet, and both show their stacks.
    waiting = err.split("[rank 0] warning: watchdog")[1].split("[rank")[0]
    assert re.search(r"phase step, step 7", waiting), waiting
    assert re.search(r"data \w+, call \d+, of .* at optim/\w+\.cpp:\d+, not finished", waiting), waiting
    stuck = err.split("[rank 1] warning: watchdog")[1].split("[rank")[0]
    assert "FaultPoint" in stuck and "main thread" in stuck, stuck
    assert "watchdog" in (output / "log.txt").read_text()
    assert train(prepared, output).code == 0
    expect_the_same_end(output, whole)


@pytest.mark.parametrize("rank", [0, 1])
def test_a_stopped_rank(prepared, whole, tmp_path, rank):  # noqa: F811
    output = tmp_path / "run"
    verdict, _ = hang(train, prepared, output, *LIMITS, fault=f"train.step@7:{rank}=stop")
    assert re.match(rf"rank {rank} on \S+ is stopped \(SIGSTOP", verdict), verdict
    assert train(prepared, output).code == 0
    expect_the_same_end(output, whole)


def test_a_checkpoint_that_is_never_written(prepared, tmp_path):
    output = tmp_path / "run"
    verdict, _ = hang(train, prepared, output, *LIMITS, fault="checkpoint.before_manifest@6:0=hang")
    assert re.match(r"rank 0 on \S+ is in phase checkpoint", verdict), verdict
    assert checkpoints(output)[-1] != "step_000006"
    resumed = train(prepared, output)
    assert resumed.code == 0, resumed.err


def test_scoring_that_hangs(prepared, tmp_path):
    settings = [f"output={tmp_path}/eval", "batch_tokens=100", f"watchdog.eval_seconds={LIMIT}"]
    command = ["eval", prepared.eval, *[part for setting in settings for part in ("--set", setting)]]
    verdict, _ = hang(run, *command, ranks=2, env={"BREAKEVEN_FAULT": "eval.stop_signal@2:1=hang"}, program=FAULTY)
    assert re.match(r"rank 1 on \S+ is in phase eval", verdict), verdict


def test_a_rank_that_dies_is_named_and_ends_the_job(prepared, tmp_path):
    result = train(prepared, tmp_path / "run", fault="train.step@5:1=kill")
    assert result.code == 137, result.err
    assert "process rank 1 " in result.err, result.err


def test_preflight_says_what_it_saw_within_two_seconds(prepared, tmp_path):
    result = train(prepared, tmp_path / "run", "max_steps=2")
    assert result.code == 0, result.err
    assert re.search(r"all-reduce of .* over 2 ranks \(\w+\): .* ms \(median of \d+\), bus bandwidth .* GB/s; the gradients of "
                     r"a step, .* MiB, take .* s", result.err), result.err  # fmt: skip
    agreed = re.search(r"preflight: 2 ranks agree on program, .* \(([0-9.]+) s\)", result.err)
    assert agreed and float(agreed.group(1)) < 2, result.err
    assert not list((tmp_path / "run").glob(".preflight*"))


def two(first, second, cwds=(ROOT, ROOT)):
    """Two ranks of one job with a command of their own each."""
    one = ["-n", 1, "--wdir", cwds[0], *first]
    other = ["-n", 1, "--wdir", cwds[1], *second]
    return execute([*mpirun(1)[:1], *mpirun(1)[3:], *one, ":", *other], 60, ROOT)


def test_another_build_on_a_rank_is_refused(prepared, tmp_path):
    arguments = ["train", prepared.train, "--set", f"output={tmp_path}/run"]
    result = two([BREAKEVEN, *arguments], [FAULTY, *arguments])
    assert result.code == 64, result.err
    assert len(result.messages()) == 1, result.err
    assert "the ranks do not run the same program" in result.messages()[0]
    assert "rank 0 on" in result.messages()[0] and "rank 1 on" in result.messages()[0]


def test_a_run_folder_that_a_rank_does_not_see_is_refused(prepared, tmp_path):
    config = prepared.train.read_text().replace(f"output: {prepared.folder}/run", "output: run")
    path = tmp_path / "relative.yaml"
    path.write_text(config)
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    arguments = [BREAKEVEN, "train", path, "--set", "max_steps=2"]
    result = two(arguments, arguments, cwds=(here, there))
    assert result.code == 64, result.err
    assert len(result.messages()) == 1 and "is not seen by rank 1 on" in result.messages()[0], result.err
    allowed = [*arguments, "--set", "preflight.shared_output=false"]
    result = two(allowed, allowed, cwds=(here, there))
    assert result.code == 0, result.err
    assert not (there / "run").exists()


def test_threads_that_do_not_fit_their_cpus_are_warned_of(prepared, tmp_path):
    result = train(prepared, tmp_path / "run", "max_steps=2", "threads=64")
    assert result.code == 0, result.err
    assert re.search(r"warning: ranks 0, 1 on \S+ start 128 threads on \d+ CPUs? \(.*\): they take turns", result.err)
