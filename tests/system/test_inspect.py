"""What inspect shows is what is there."""

import json

from program import ROOT, run


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


def test_configs_are_recognised(prepared):
    for name, what in {
        "quickstart_train.yaml": "breakeven train",
        "quickstart_prepare.yaml": "breakeven prepare",
        "quickstart_eval.yaml": "breakeven eval",
        "quickstart_generate.yaml": "breakeven generate",
        "tasks/debian_section.yaml": "a task",
        "prompts/debian_section.yaml": "prompt variants",
    }.items():
        shown = run("inspect", ROOT / "configs" / name)
        assert shown.code == 0, shown.err
        assert what in shown.out.splitlines()[0], shown.out.splitlines()[0]
        assert "\n# " in shown.out  # each key with its meaning
