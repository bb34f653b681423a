"""What is said and what is refused before the first step. The watchdog itself is tested in test_watchdog_job.py, trainings that hang
in tests/faults."""

import re

from program import BREAKEVEN, FAULTY, ROOT, execute, mpirun
from training_runs import train


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
