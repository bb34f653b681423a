"""`breakeven bench score` from outside: it lists its keys, and refuses one that names no model."""

import json

from program import run


def test_lists_its_keys():
    result = run("bench", "score", "--help-config")
    assert result.code == 0, result.err
    assert "bench_repeats" in result.out


def test_needs_a_model(tmp_path):
    data = tmp_path / "d.jsonl"
    data.write_text(json.dumps({"q": "x", "c": ["a", "b"], "l": 0}) + "\n")
    config = tmp_path / "score.yaml"
    task = {"name": "t", "splits": {"dev": {"path": str(data)}}, "doc_to_text": "{{q}}", "doc_to_choice": ["{{c}}"],
            "doc_to_target": "{{l}}"}
    config.write_text(json.dumps({"task": task}))
    result = run("bench", "score", config)
    assert result.code == 64 and "models: none given" in result.err, result.err
