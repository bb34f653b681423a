"""What inspect shows is what is there."""

import json

import pytest
from program import ROOT, run

from test_command_line import expect_error


def test_dataset(prepared):
    path = prepared / "tokens" / "train.h5"
    shown = run("inspect", path, "--example", 4, "--tokenizer", prepared / "scratch", "--verify")
    assert shown.code == 0, shown.err
    rows = [json.loads(line) for line in (prepared / "train.jsonl").read_text().splitlines()]
    assert f"Thing: {rows[4]['thing']}" in shown.out
    assert f"⟦ {rows[4]['colour']}<|endoftext|>⟧" in shown.out
    assert "verified" in shown.out
    assert run("inspect", path, "--json").json()["examples" if "examples" in run("inspect", path, "--json").json() else "num_examples"] == 48
    assert run("inspect", path, "--example", 48).code == 64


def test_model_and_tokenizer(prepared):
    shown = run("inspect", prepared / "model", "--json", "--text", "Thing: sky").json()
    assert shown["architecture"]["model_type"] == "llama"
    assert shown["architecture"]["parameters"] == shown["weights"]["elements"]
    assert "".join(token["text"] for token in shown["tokenizer"]["tokens"]) == "Thing: sky"
    assert shown["training"]["step"] == 6
    alone = run("inspect", prepared / "scratch" / "tokenizer.json", "--json")
    assert alone.json()["tokenizer"]["fingerprint"] == shown["tokenizer"]["fingerprint"]


def test_run_folder_and_latest(prepared):
    shown = run("inspect", prepared / "run", "--json", "--verify").json()
    assert shown["checkpoints"]["step_000006"].startswith("whole")
    assert shown["last_of_each_event"]["step"]["step"] == 6
    latest = run("inspect", prepared / "run" / "checkpoints" / "latest", "--json")
    assert latest.json()["training"]["step"] == 6


def purpose(path):
    """What the name says that a file is for: configs/README.md."""
    name = path.name
    if path.parent.name != "configs":
        return {
            "tasks": "a task",
            "prompts": "one prompt" if name.endswith("_training.yaml") else "prompt variants",
            "clusters": "a forecast of" if name.startswith("forecast_") else "a cluster to forecast for",
            "sites": "a site of breakeven launch",
        }[path.parent.name]
    for command in ("prepare", "eval", "generate"):
        if name.endswith(f"_{command}.yaml"):
            return f"a config of breakeven {command}"
    return "a config of breakeven " + next((c for c in ("study", "scale") if name.startswith(f"{c}_")), "train")


CONFIGS = sorted([*(ROOT / "configs").rglob("*.yaml"), *(ROOT / "cluster" / "sites").glob("*.yaml")])


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_is_shown_as_what_it_is_for(path):
    shown = run("inspect", path)
    assert shown.code == 0, shown.err
    assert f": {purpose(path)}" in shown.out.splitlines()[0], shown.out.splitlines()[0]
    assert "\n# " in shown.out  # each key with its meaning


def test_keys_that_fit_several_commands_are_refused_and_cluster_command_decides(prepared, tmp_path):
    path = tmp_path / "bare.yaml"
    path.write_text(f"task: {prepared.folder}/task.yaml\noutput: o\nthreads: 1\n")
    fits = "fit a config of breakeven prepare, a config of breakeven eval and a config of breakeven study alike"
    expect_error(run("inspect", path), 64, "bare.yaml", fits, "cluster.command: eval or study")
    path.write_text(path.read_text() + "cluster: {command: eval}\n")
    shown = run("inspect", path)
    assert shown.code == 0 and "a config of breakeven eval" in shown.out.splitlines()[0], shown.err


def test_a_config_that_is_no_map_is_refused_as_that(tmp_path):
    (tmp_path / "list.yaml").write_text("[1, 2]\n")
    expect_error(run("inspect", tmp_path / "list.yaml"), 64, "list.yaml", "a list of 2, expected a map")
