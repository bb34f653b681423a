"""Studies of other kinds of task than choices, and the task that shows what tuning lost, on a tiny random model."""

import json
import re

import pytest
from program import BUILD, run
from tiny import documents, study_in, write_jsonl

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
    return study_in(own, STUDY)


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
    assert zero_shot["score"] == pytest.approx(sum(recorded["base/plain"]) / 36)


SHAPES = """
name: things
splits:
  train: {{path: {0}/other_train.jsonl}}
  test: {{path: {0}/other.jsonl}}
id_field: id
output_type: multiple_choice
doc_to_text: "{{{{ thing }}}} is"
doc_to_target: "{{{{ colour }}}}"
doc_to_choice: [red, green, blue]
metrics: [acc, mcc, calibration_error]
"""

TEXTS = """
name: prose
splits:
  test: {{path: {0}/other.jsonl}}
id_field: id
output_type: loglikelihood_rolling
doc_to_target: "{{{{ text }}}}"
metrics: [byte_perplexity, word_perplexity]
"""

MANY = ["--set", "seeds=[1,2]", "--set", "timed_documents=8"]


def regression(study, task, rows):
    """The study with another task beside its own; the settings that name it."""
    write_jsonl(study / "other_train.jsonl", documents(9, 600))
    write_jsonl(study / "other.jsonl", rows)
    path = study.write("other.yaml", task.format(study.folder))
    return ["--set", f"regression={{task: {path}, prompt: {{name: plain}}}}"]


def texts(count, start=0):
    return [{"id": f"t{i}", "text": f"In year {i} a ship of {i % 7} masts came home, and nobody had seen the sea so calm."} for i in range(start, start + count)]


def state(study):
    return json.loads((study / "study" / "study_state.json").read_text())


def last_piece(study):
    """How far the log says that the study is: (7, 12) of "study 7/12: …"."""
    found = re.findall(r"study (\d+)/(\d+): ", (study / "study" / "log.txt").read_text())
    return int(found[-1][0]), int(found[-1][1])


@pytest.mark.parametrize("task, rows, metric", [(SHAPES, list(documents(30, 400)), "acc"), (TEXTS, texts(30), "byte_perplexity")], ids=["choices", "texts"])
def test_another_task_shows_what_tuning_lost(study, task, rows, metric):
    settings = [*regression(study, task, rows), *MANY, "--json"]
    dry = run("study", study.study, "--dry-run", *settings)
    assert dry.code == 0 and f"30 of test, by {metric}" in dry.out and "with regression set, timing of serving" in dry.out, dry.err
    done = run("study", study.study, *settings, ranks=2, timeout=240)
    assert done.code == 0, done.err
    asked = state(study)["arms"]
    assert sorted(key.split("/")[1] for key in asked if key.startswith("regression:test/")) == ["base", "n6_lr0.001_s1", "n6_lr0.001_s2"]
    assert any("On the regression set" in question["answer"] for question in done.json()["questions"]), done.json()["questions"]
    # The look is in both ledgers, once for the same arms.
    beside = (study / "other.jsonl.ledger.jsonl").read_text().splitlines()
    own = (study / "study" / "eval" / "ledger.jsonl").read_text().splitlines()
    assert len(beside) == 1 and len(own) == 2 and beside[0] in own
    assert [arm["model"] for arm in json.loads(beside[0])["arms"]] == ["base", "n6_lr0.001_s1", "n6_lr0.001_s2"]
    assert state(study)["regression_look"] == 1
    done_pieces, pieces = last_piece(study)
    assert done_pieces == pieces, "the last piece is the last one"
    again = run("study", study.study, *settings, "--set", f"output={study.folder}/again", "--set", "train.epochs=2", timeout=240)
    assert again.code == 0 and any("regression set was looked at before" in c for c in again.json()["cautions"]), again.err


def test_what_is_wrong_with_the_other_task_is_said_at_the_start(study):
    for metric in ("mcc", "calibration_error"):
        settings = regression(study, SHAPES, documents(30, 400))
        settings[1] = settings[1].replace("prompt:", f"metric: {metric}, prompt:")
        done = run("study", study.study, "--dry-run", *settings)
        assert done.code == 64 and f"regression.metric: '{metric}' is of a whole split" in done.err, done.err
    settings = regression(study, SHAPES, [])
    (study / "other.jsonl").unlink()
    done = run("study", study.study, "--dry-run", *settings)
    assert done.code == 65 and "other.jsonl" in done.err, done.err
    settings = regression(study, SHAPES.replace("{{{{ thing }}}} is", "{{{{ thing }}}} ({{{{ colour }}}}) is"), documents(30, 400))
    done = run("study", study.study, "--dry-run", *settings)
    assert done.code == 65 and "shows the answer" in done.err and "other.jsonl" in done.err, done.err
    same = SHAPES.replace("{{{{ thing }}}} is", "Thing: {{{{ thing }}}}\\nColour:")
    rows = [*documents(29, 400), {**next(documents(1, 100)), "id": "copy"}]
    done = run("study", study.study, "--dry-run", *regression(study, same, rows))
    assert done.code == 65 and "the regression set overlaps" in done.err and "'things test'" in done.err, done.err
    long = [{"id": f"l{i}", "thing": f"{'word ' * 300}{i}", "colour": "red"} for i in range(3)]
    settings = regression(study, SHAPES, [*documents(30, 400), *long])
    done = run("study", study.study, "--dry-run", *settings)
    assert done.code == 65 and "3 documents of the regression set" in done.err and "allow_truncated" in done.err, done.err
    assert run("study", study.study, "--dry-run", *settings, "--set", "allow_truncated=true").code == 0
    assert not (study / "study").exists()


def test_another_regression_set_does_not_go_on_in_the_folder(study):
    settings = regression(study, SHAPES, documents(30, 400))
    assert run("study", study.study, *settings, timeout=240).code == 0
    write_jsonl(study / "other.jsonl", documents(31, 400))
    done = run("study", study.study, *settings)
    assert done.code == 64 and "another config, model or data" in done.err, done.err


def test_a_search_is_counted_as_work_and_paid_for_over_restarts(study):
    study.write("variants.yaml", 'variants:\n  - {name: asked, doc_to_text: "What colour is {{ thing }}?\\nColour:"}\n  - {name: shots, num_fewshot: 2}\n')
    search = ["--set", f"prompts={study.folder}/variants.yaml", "--set", "prompt_search={budget_documents: 72, shot_sets: 3, keep: 1}", "--set", "allow_small_dev=true", *MANY]
    dry = run("study", study.study, "--dry-run", *search)
    assert dry.code == 0 and "with search among prompts, timing of serving" in dry.out, dry.err
    killed = run("study", study.study, *search, env={"BREAKEVEN_FAULT": "study.search_score@3=kill"}, program=BUILD / "breakeven_faulty")
    assert killed.code != 0 and len(state(study)["search"]) == 4, killed.err
    before = state(study)["search_seconds"]
    assert before > 0
    done = run("study", study.study, *search, timeout=240)
    assert done.code == 0, done.err
    seconds = state(study)["search_seconds"]
    assert seconds > before and len(state(study)["search"]) > 4
    work = json.loads((study / "study" / "study.json").read_text())["costs"]["prompt_work"]
    searched = work[1]
    assert searched["wall_seconds"] == seconds == searched["device_seconds"] and searched["num_runs"] == len(state(study)["search"])
    done_pieces, pieces = last_piece(study)
    assert done_pieces == pieces, "the last piece is the last one"


def test_the_studys_own_test_as_running_text_is_no_further_look(study):
    own = TEXTS.replace("other.jsonl", "test.jsonl").replace("{{{{ text }}}}", "{{{{ thing }}}} is not {{{{ thing }}}}")
    done = run("study", study.study, *regression(study, own, []), "--json", timeout=240)
    assert done.code == 0, done.err
    assert len((study / "test.jsonl.ledger.jsonl").read_text().splitlines()) == 1
    assert not any("looked at before" in caution for caution in done.json()["cautions"]), done.json()["cautions"]
