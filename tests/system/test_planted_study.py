"""Studies whose truth is known, really trained: a tiny model from scratch, a task made for the purpose. What thousands of such
studies say at the level of records is in tests/bench/statistics and trainer/study's tests."""

import json
import random
import shutil

import pytest
from program import run
from tiny import documents, write_jsonl

COLOURS = ["red", "green", "blue"]
RIGHT = 0.8  # of the labels, where labels are noisy; the rest is shared by the other two colours

STUDY = """
model: {0}/base
task: task.yaml
prompts: variants.yaml
training_prompt: {{name: plain, end_of_target: "<|endoftext|>"}}
output: {0}/study
sizes: [60, 240]
seeds: [1, 2, 3]
train:
  epochs: 12
  batching: {{global_batch: {{examples: 12}}, micro_batch_tokens: 512}}
  optimizer: {{learning_rate: 5e-3, weight_decay: 0}}
  schedule: {{kind: linear}}
  precision: float32
tuned_with_best_prompt: false
few_shot_at_equal_data: false
timed_documents: 0
verdict: {{resamples: 1000, coverage_studies: 0}}
threads: 1
"""


def noisy(rows, seed):
    """The colour of a thing is told right in 8 of 10 cases."""
    dice = random.Random(seed)
    for row in rows:
        others = [colour for colour in COLOURS if colour != row["colour"]]
        yield {**row, "colour": row["colour"] if dice.random() < RIGHT else dice.choice(others)}


def shuffled(rows, seed):
    """Colours that have nothing to do with things."""
    dice = random.Random(seed)
    for row in rows:
        yield {**row, "colour": dice.choice(COLOURS)}


def rotated(rows):
    """Every colour is called by the next one's name."""
    for row in rows:
        yield {**row, "colour": COLOURS[(COLOURS.index(row["colour"]) + 1) % 3]}


SPLITS = {"train": (240, 0), "dev": (150, 1000), "test": (400, 2000)}


def clean(split):
    return list(documents(*SPLITS[split]))


def trained(tiny, name, *settings):
    """A model folder made by `train`."""
    assert run("prepare", tiny.prepare).code == 0
    done = run("train", tiny.train, *settings)
    assert done.code == 0, done.err
    checkpoints = tiny / "run" / "checkpoints"
    shutil.copytree(checkpoints / (checkpoints / "latest").read_text().strip(), tiny / name)


def study(tiny):
    done = run("study", tiny.write("study.yaml", STUDY.format(tiny.folder)), "--json", timeout=300)
    assert done.code == 0, done.err
    return done.json()


def accuracies_of_truth(tiny, arm):
    """How often an arm says the true colour of a thing, whatever the file calls it."""
    truth = {row["id"]: row["colour"] for row in clean("test")}
    records = [json.loads(line) for line in open(tiny / "study" / "eval" / "records.jsonl")]
    mine = [r for r in records if r["split"] == "test" and r["arm"] == arm]
    assert len(mine) == SPLITS["test"][0]
    return sum(r["prediction"] == truth[r["doc_id"]] for r in mine) / len(mine)


@pytest.fixture
def scratch(tiny):
    """Weights as they were drawn: a model that knows nothing."""
    trained(tiny, "base", "--set", "max_steps=1", "--set", "optimizer.learning_rate=1e-9")
    return tiny


def test_tuning_helps_by_the_margin_that_was_planted(scratch):
    for number, split in enumerate(SPLITS):
        write_jsonl(scratch / f"{split}.jsonl", noisy(clean(split), number))
    report = study(scratch)
    headline = report["headline"]
    assert headline["verdict"] == "better", report["sentence"]
    assert report["arms"][-1]["candidate"], "more examples are better"
    baseline = next(arm for arm in report["arms"] if arm["baseline"])
    knows = accuracies_of_truth(scratch, baseline["replicates"][0]["arm"])
    # A tuned model that has learned all there is says the true colour; the base says it by luck.
    expected = RIGHT - (RIGHT * knows + (1 - RIGHT) / 2 * (1 - knows))
    low, high = headline["interval"]["low"], headline["interval"]["high"]
    slack = (high - low) / 4  # the interval misses by chance in one study of twenty
    assert low - slack <= expected <= high + slack, (headline, expected)


def test_tuning_that_can_do_nothing_is_not_called_better(scratch):
    for number, split in enumerate(SPLITS):
        write_jsonl(scratch / f"{split}.jsonl", shuffled(clean(split), number))
    report = study(scratch)
    assert report["headline"]["verdict"] == "cannot tell", report["sentence"]
    assert abs(report["headline"]["difference"]) < 0.1, report["sentence"]
    assert all(c["examples_to_win"]["kind"] == "not within the data" for c in report["curves"]), report["curves"]


def test_a_prompt_that_is_better_stays(tiny):
    """The base model has learned the task under one prompt; tuning then teaches it wrong names."""
    for split in SPLITS:
        write_jsonl(tiny / f"{split}.jsonl", clean(split))
    asked = 'prompt: {name: asked, doc_to_text: "What colour is {{ thing }}?\\nColour:",'
    tiny.prepare.write_text(tiny.prepare.read_text().replace("prompt: {name: plain,", asked))
    trained(tiny, "base", "--set", "max_steps=300")
    write_jsonl(tiny / "train.jsonl", rotated(clean("train")))
    report = study(tiny)
    assert report["headline"]["verdict"] == "worse", report["sentence"]
    assert report["headline"]["baseline_score"] > 0.9 and report["headline"]["arm_score"] < 0.3, report["sentence"]
    assert next(arm for arm in report["arms"] if arm["baseline"])["role"] in ("zero-shot", "prompt")
