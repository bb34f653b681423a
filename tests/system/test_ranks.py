"""Jobs whose ranks do not agree: one clear message on one rank's behalf, the right exit code, no hang."""

import json
import shutil

import pytest
from program import run, run_apart


def expect_one_message(result, code, *parts):
    assert result.code == code, (result.code, result.err)
    assert len(result.messages()) == 1, result.err
    for part in parts:
        assert part in result.messages()[0] or part in result.err, (part, result.err)


@pytest.mark.parametrize("ranks", [2, 4])
def test_an_error_that_all_ranks_meet_is_said_once(tiny, ranks):
    expect_one_message(run("train", tiny.train, "--set", "seed=x", ranks=ranks), 64, "seed")
    expect_one_message(run("train", tiny.train, ranks=ranks), 65, "tokens/train.h5")
    expect_one_message(run("trian", ranks=ranks), 64, "unknown command")


def test_different_configs_are_named(prepared):
    a = ["train", prepared.train, "--set", "optimizer.beta1=0.8"]
    b = ["train", prepared.train, "--set", "optimizer.beta1=0.7"]
    expect_one_message(run_apart(a, b), 64, "different configs", "beta1: 0.8", "beta1: 0.7")


def test_a_rank_that_cannot_read_the_config(prepared):
    expect_one_message(
        run_apart(["train", prepared.train], ["train", prepared / "absent.yaml"]), 64, "absent.yaml", "rank 1"
    )


def relative(prepared, tmp_path):
    """The same config in two working directories: what relative paths lead to may differ."""
    config = prepared.train.read_text().replace(f"data: {prepared.folder}/tokens/", "data: tokens/")
    config = config.replace(f"output: {prepared.folder}/run", f"output: {tmp_path}/run")
    path = tmp_path / "relative.yaml"
    path.write_text(config)
    here, there = tmp_path / "here", tmp_path / "there"
    shutil.copytree(prepared / "tokens", here / "tokens")
    there.mkdir()
    return path, here, there


def test_a_rank_that_cannot_open_the_data(prepared, tmp_path):
    path, here, there = relative(prepared, tmp_path)
    result = run_apart(["train", path], ["train", path], cwds=(here, there))
    expect_one_message(result, 65, "tokens/train.h5", "rank 1")
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_ranks_with_different_data(prepared, tmp_path):
    path, here, there = relative(prepared, tmp_path)
    (there / "tokens").mkdir()
    shutil.copy(prepared / "tokens" / "dev.h5", there / "tokens" / "train.h5")
    result = run_apart(["train", path], ["train", path], cwds=(here, there))
    assert result.code in (64, 65), result.err
    expect_one_message(result, result.code, "rank 0", "rank 1")


def test_more_ranks_than_examples_are_refused(prepared, tmp_path):
    short = tmp_path / "short"
    shutil.copytree(prepared.folder, short)
    lines = (short / "train.jsonl").read_text().splitlines(keepends=True)[:2]
    (short / "train.jsonl").write_text("".join(lines))
    for name in ("task.yaml", "prepare.yaml", "train.yaml"):
        (short / name).write_text((short / name).read_text().replace(str(prepared.folder), str(short)))
    assert run("prepare", short / "prepare.yaml").code == 0
    result = run("train", short / "train.yaml", "--set", f"output={short / 'new-run'}", ranks=3)
    expect_one_message(result, 64, "train.h5", "2 examples for 3 ranks")
    enough = run("train", short / "train.yaml", "--set", f"output={short / 'new-run'}", ranks=2)
    assert enough.code == 0, enough.err


def test_an_empty_dataset_is_refused(tiny):
    (tiny / "train.jsonl").write_text("")
    result = run("prepare", tiny.prepare)
    if result.code == 0:
        result = run("train", tiny.train, ranks=2)
    expect_one_message(result, 65, "train")


def test_training_is_the_same_for_one_and_two_ranks(prepared, tmp_path):
    losses = {}
    for ranks in (1, 2):
        output = tmp_path / f"run{ranks}"
        assert run("train", prepared.train, "--set", f"output={output}", ranks=ranks).code == 0
        events = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
        losses[ranks] = [event["loss"] for event in events if event["event"] == "step"]
    assert len(losses[1]) == 6
    assert losses[1] == pytest.approx(losses[2], abs=1e-5)


def test_scores_are_the_same_bits_for_any_number_of_ranks(prepared, tmp_path):
    records = {}
    for ranks in (0, 1, 2, 3):
        output = tmp_path / f"eval{ranks}"
        result = run("eval", prepared.eval, "--json", "--set", f"output={output}", ranks=ranks)
        assert result.code == 0, result.err
        path = next(output.rglob("records.jsonl"))
        records[ranks] = path.read_text()
    assert records[0].count("\n") == 3 * 17
    assert records[0] == records[1] == records[2] == records[3]


def test_answers_are_the_same_for_any_number_of_ranks(prepared):
    arguments = ["generate", "--json", "--set", f"model={prepared.folder}/model", "--set", "max_new_tokens=12"]
    for i, prompt in enumerate(["Thing: sky", "Thing: brick very very", "What colour", "x"]):
        arguments += ["--set", f"prompts.{i}={prompt}"]
    alone = run(*arguments)
    assert alone.code == 0, alone.err
    assert len(alone.out.splitlines()) == 4
    assert [len(json.loads(line)["tokens"]) for line in alone.out.splitlines()] != []
    assert run(*arguments, ranks=3).out == alone.out
