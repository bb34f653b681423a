"""Long runs: the same command gives the same bits, other ranks learn the same. What happens to runs is in tests/faults."""

import pytest
from program import run
from training_runs import Job, expect_the_same_end, losses, train


def test_twice_the_same_command_is_bit_equal(prepared, whole, tmp_path):
    assert train(prepared, tmp_path / "run").code == 0
    expect_the_same_end(tmp_path / "run", whole)


def test_nobody_trains_in_a_run_that_is_being_scored(own):
    extra = "prompt_eval: {task: task.yaml, prompts: variants.yaml, split: dev}\n"
    path = own.write("whole.yaml", own.train.read_text() + extra)
    job = Job(own, None, command=["train", path], fault="eval.stop_signal@1:0=stop")
    second = run("train", path, "--set", "max_steps=9")
    assert second.code == 73 and f"pid {job.stopped}" in second.err, second.err
    code, err = job.finish()
    assert code == 0, err
    done = run("train", path)
    assert done.code == 0 and "no step was left to do" in done.out and "nan" not in done.out, done.out


@pytest.mark.parametrize("ranks", [1, 3])
def test_other_numbers_of_ranks_learn_the_same(prepared, whole, tmp_path, ranks):
    output = tmp_path / "run"
    assert train(prepared, output, ranks=ranks).code == 0
    assert losses(output) == pytest.approx(losses(whole), abs=1e-5)
