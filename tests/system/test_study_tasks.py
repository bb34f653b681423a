"""Studies of other kinds of task than choices, and the task that shows what tuning lost, on a tiny random model."""

import json

import pytest
from program import run
from tiny import documents, write_jsonl

STUDY = """
model: {0}/model
task: task.yaml
training_prompt: {{name: plain, end_of_target: "<|endoftext|>"}}
output: {0}/study
sizes: [6]
seeds: [1]
train:
  batching: {{global_batch: {{examples: 6}}, micro_batch_tokens: 128}}
  optimizer: {{learning_rate: 1e-3}}
  schedule: {{kind: constant}}
  log_every_steps: 1
verdict: {{resamples: 200, coverage_studies: 0}}
timed_documents: 0
threads: 1
"""

TARGETS = """
name: colours_as_text
splits:
  train: {{path: {0}/train.jsonl}}
  dev: {{path: {0}/dev.jsonl}}
  test: {{path: {0}/test.jsonl}}
id_field: id
output_type: loglikelihood
doc_to_text: "Thing: {{{{ thing }}}}\\nColour:"
doc_to_target: " {{{{ colour }}}}"
metrics: [target_loglikelihood, acc]
"""


@pytest.fixture
def study(own):
    write_jsonl(own / "dev.jsonl", documents(24, 100))
    write_jsonl(own / "test.jsonl", documents(36, 200))
    own.study = own.write("study.yaml", STUDY.format(own.folder))
    return own


def test_a_study_of_targets_is_decided_by_their_loglikelihood(study):
    study.write("task.yaml", TARGETS.format(study.folder))
    done = run("study", study.study, "--json", timeout=240)
    assert done.code == 0, done.err
    report = done.json()
    assert report["metric"] == "target_loglikelihood"
    recorded = {}
    for line in (study / "study" / "eval" / "records.jsonl").read_text().splitlines():
        record = json.loads(line)
        if record["split"] == "test":
            recorded.setdefault(record["arm"], []).append(record["metrics"]["target_loglikelihood"])
    zero_shot = next(arm for arm in report["arms"] if arm["role"] == "zero-shot")
    assert len(recorded["base/plain"]) == 36
    assert zero_shot["score"]["score"] == pytest.approx(sum(recorded["base/plain"]) / 36)
