"""What a study keeps of its trainings, on a tiny random model: which checkpoints, which weights, and for how long."""

import json

import pytest
from program import BUILD, run
from tiny import documents, write_jsonl

STUDY = """
model: {0}/model
task: task.yaml
training_prompt: {{name: plain, end_of_target: "<|endoftext|>"}}
output: {0}/study
sizes: [6, 24]
seeds: [1, 2]
learning_rates: [1e-3, 5e-3]
train:
  batching: {{global_batch: {{examples: 6}}, micro_batch_tokens: 128}}
  schedule: {{kind: constant}}
  log_every_steps: 1
verdict: {{resamples: 200, coverage_studies: 0}}
timed_documents: 0
threads: 1
"""


@pytest.fixture
def study(own):
    write_jsonl(own / "dev.jsonl", documents(24, 100))
    write_jsonl(own / "test.jsonl", documents(36, 200))
    own.study = own.write("study.yaml", STUDY.format(own.folder))
    return own


def cells(study):
    return json.loads((study / "study" / "study_state.json").read_text())["cells"]


def with_weights(study):
    """Names of the cells whose folder holds any."""
    folders = (study / "study" / "cells").iterdir()
    return sorted(folder.name for folder in folders if list(folder.rglob("model.safetensors")))


def killed(study, fault, *settings):
    done = run("study", study.study, *settings, env={"BREAKEVEN_FAULT": fault}, program=BUILD / "breakeven_faulty", timeout=240)
    assert done.code != 0, done.err


def test_rates_that_lost_lose_their_weights_before_the_next_size_and_after_a_kill(study):
    killed(study, "study.before_removal=kill")
    (loser,) = [name for name, cell in cells(study).items() if cell["removed"]]
    assert loser in with_weights(study), "killed in between"
    killed(study, "study.cell_done@0=kill")
    smaller = [name for name in with_weights(study) if name.startswith("n6_")]
    assert len(smaller) == 1 and smaller != [loser], "one rate is left when the next size is trained"
    done = run("study", study.study, timeout=240)
    assert done.code == 0, done.err
    assert with_weights(study) == sorted(name for name, cell in cells(study).items() if not cell["removed"])
    assert len(with_weights(study)) == 4
