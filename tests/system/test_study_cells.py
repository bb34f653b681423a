"""What a study keeps of its trainings, on a tiny random model: which checkpoints, which weights, and for how long."""

import json
import re
import shutil

import pytest
from program import BUILD, run
from tiny import study_in

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
    return study_in(own, STUDY)


def cells(study):
    return json.loads((study / "study" / "study_state.json").read_text())["cells"]


def records(study):
    return [json.loads(line) for line in (study / "study" / "eval" / "records.jsonl").read_text().splitlines()]


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
    pieces = re.findall(r"study (\d+)/(\d+): ", (study / "study" / "log.txt").read_text())
    assert pieces[-1] == ("19", "19"), "1 prompt on dev, 6 cells trained and scored there; zero-shot, 6 shots and 4 cells on test"


def test_a_rate_that_lost_and_whose_score_is_lost_too_is_trained_anew(study):
    assert run("study", study.study, timeout=240).code == 0
    before = (study / "study" / "eval" / "records.jsonl").read_text()
    loser = next(name for name, cell in cells(study).items() if cell["removed"])
    part_of(study, loser).write_text("")
    done = run("study", study.study, timeout=240)
    assert done.code == 0 and f"trained {loser}" in done.err, done.err
    assert (study / "study" / "eval" / "records.jsonl").read_text() == before
    assert cells(study)[loser]["removed"] and loser not in with_weights(study)


def change(study, edit):
    path = study / "study" / "study_state.json"
    now = json.loads(path.read_text())
    edit(now)
    path.write_text(json.dumps(now))


def part_of(study, model):
    """Where the cell's records on dev lie."""
    for part in (study / "study" / "eval" / "parts").iterdir():
        record = json.loads(part.read_text().splitlines()[0])
        if (record["split"], record["model"]) == ("dev", model):
            return part
    raise AssertionError(model)


@pytest.mark.parametrize("lost", ["nothing", "the loser's score", "that the choice was kept"])
def test_a_rate_stays_chosen_when_scores_come_out_otherwise(study, lost):
    """As after another number of ranks, or on another device."""
    small = ["--set", "sizes=[6]"]
    assert run("study", study.study, *small, timeout=240).code == 0
    before = (study / "study" / "eval" / "records.jsonl").read_text()
    (loser,) = [name for name, cell in cells(study).items() if cell["removed"]]
    (winner,) = [name for name, cell in cells(study).items() if name.endswith("_s1") and not cell["removed"]]

    def edit(now):
        for value in now["arms"][f"dev/{winner}/plain"]["summary"]["metrics"].values():
            value[0] = -1
        if lost == "that the choice was kept":
            now.pop("rates", None)

    change(study, edit)
    if lost == "the loser's score":
        part_of(study, loser).write_text("")
    done = run("study", study.study, *small, timeout=240)
    assert done.code == 0 and (f"trained {loser}" in done.err) == (lost == "the loser's score"), done.err
    assert (study / "study" / "eval" / "records.jsonl").read_text() == before
    assert cells(study)[loser]["removed"] and not cells(study)[winner]["removed"]
    assert winner in with_weights(study) and loser not in with_weights(study)


@pytest.mark.parametrize("begun", ["float32", "bfloat16"])
def test_every_cell_trains_in_the_precision_that_the_study_was_begun_in(study, begun):
    """One of the two is not what auto means on this machine: as begun on nodes of the other kind."""
    small = ["--set", "sizes=[6]", "--set", "seeds=[1]", "--set", "train.precision=auto", "--json"]
    killed(study, "study.arm_done@0=kill", *small)

    def edit(now):
        assert now["training_precision"] in ("float32", "bfloat16"), "resolved before anything was scored"
        now["training_precision"] = begun

    change(study, edit)
    done = run("study", study.study, *small, "--set", "force_bfloat16=true", timeout=240)
    assert done.code == 0, done.err
    facts = {(fact["group"], fact["name"]): fact["value"] for fact in done.json()["provenance"]}
    assert facts["training", "precision"] == begun and facts["scoring", "precision"] == "float32", facts


OVERFITS = ["--set", "sizes=[6]", "--set", "seeds=[1]", "--set", "learning_rates=[1e-2]", "--set", "train.epochs=20"]
EPOCHS = 20  # of one step each; the loss on dev is lowest at some fifteenth


def validation_losses(study, cell):
    lines = (study / "study" / "cells" / cell / "metrics.jsonl").read_text().splitlines()
    losses = {}
    for line in map(json.loads, lines):
        if line["event"] == "validation":
            losses[line["step"]] = line["loss"]
    return losses


def test_the_checkpoint_with_the_lowest_loss_on_dev_is_the_tuned_model(study):
    assert run("study", study.study, *OVERFITS, timeout=240).code == 0
    ((name, cell),) = cells(study).items()
    losses = validation_losses(study, name)
    assert len(losses) == EPOCHS == cell["steps"]
    best = min(losses, key=losses.get)
    assert 1 < best < EPOCHS, f"the test wants a cell that overfits: {losses}"
    assert cell["chosen_step"] == cell["chosen_epoch"] == best and cell["validation_loss"] == losses[best]
    folder = study / "study" / "cells" / name / "checkpoints"
    assert sorted(p.name for p in folder.iterdir()) == ["latest", f"step_{best:06}"]
    assert cell["checkpoint"].endswith(f"step_{best:06}") and (folder / "latest").read_text() == f"step_{best:06}\n"
    listed = json.loads((study / "study" / "study.json").read_text())["cells"][0]
    assert (listed["chosen_step"], listed["chosen_epoch"]) == (best, best)
    steps = {record["step"] for record in records(study) if record["model"] == name}
    assert steps == {best}, "what is scored is what was chosen"


def test_without_validation_the_last_checkpoint_is_the_tuned_model(study):
    assert run("study", study.study, *OVERFITS, "--set", "train.validate=false", timeout=240).code == 0
    (cell,) = cells(study).values()
    assert cell["chosen_step"] == cell["chosen_epoch"] == EPOCHS and cell["validation_loss"] is None


def same(cell, expected):
    """But for what a clock says."""
    return {**cell, "seconds": 0} == {**expected, "seconds": 0}


# Killed behind the best epoch; signalled in it, so that its validation is owed.
@pytest.mark.parametrize("fault", ["train.step@18=kill", "train.stop_signal@14=errno:4"])
def test_a_cell_that_was_stopped_goes_on_to_the_same_choice(study, fault):
    whole = study.folder.parent / "whole"
    assert run("study", study.study, *OVERFITS, "--set", f"output={whole}", timeout=240).code == 0
    (expected,) = json.loads((whole / "study_state.json").read_text())["cells"].values()
    settings = [*OVERFITS, "--set", "train.checkpoint_every_steps=1"]
    killed(study, fault, *settings)
    kept = sorted(p.name for p in (study / "study" / "cells").rglob("step_*") if p.is_dir() and not p.name.endswith(".tmp"))
    assert not cells(study)
    assert f"step_{expected['chosen_step']:06}" in kept and len(kept) > 1, kept
    assert run("study", study.study, *settings, timeout=240).code == 0
    (cell,) = cells(study).values()
    assert same(cell, expected)
    assert (study / "study" / "eval" / "records.jsonl").read_text() == (whole / "eval" / "records.jsonl").read_text()


# The chosen checkpoint may go meanwhile: nothing is left to train, but the last one is not what was promised.
@pytest.mark.parametrize("best_is_lost", [False, True])
def test_a_cell_killed_behind_its_last_step_is_what_it_was(study, best_is_lost):
    whole = study.folder.parent / "whole"
    assert run("study", study.study, *OVERFITS, "--set", f"output={whole}", timeout=240).code == 0
    killed(study, "study.cell_trained=kill", *OVERFITS)
    assert not (study / "study" / "study_state.json").exists() or not cells(study)
    if best_is_lost:
        best = sorted(p for p in (study / "study" / "cells").rglob("step_*") if p.is_dir())[0]
        shutil.rmtree(best)
    done = run("study", study.study, *OVERFITS, timeout=240)
    assert done.code == 0 and "trained n6" in done.err and "loss nan" not in done.err, done.err
    assert ("the cell is trained anew" in done.err) == best_is_lost, done.err
    assert (study / "study" / "eval" / "records.jsonl").read_text() == (whole / "eval" / "records.jsonl").read_text()


def rescued(study, whole):
    """Runs the study again: a cell whose weights were gone comes out as in the undisturbed run."""
    done = run("study", study.study, *OVERFITS, timeout=240)
    assert done.code == 0 and "the weights are gone, the cell is trained anew" in done.err, done.err
    assert (study / "study" / "eval" / "records.jsonl").read_text() == (whole / "eval" / "records.jsonl").read_text()
    assert with_weights(study) == list(cells(study))


def test_a_cell_whose_chosen_checkpoint_is_gone_is_trained_anew_and_loses_no_other(study):
    """As after a backup that was restored in part."""
    whole = study.folder.parent / "whole"
    assert run("study", study.study, *OVERFITS, "--set", f"output={whole}", timeout=240).code == 0
    killed(study, "study.cell_done=kill", *OVERFITS)
    ((name, cell),) = cells(study).items()
    chosen = study / "study" / cell["checkpoint"]
    others = [p for p in chosen.parent.iterdir() if p.is_dir() and p != chosen]
    assert len(others) == 1, "the last one"
    shutil.rmtree(chosen)
    rescued(study, whole)
    assert (others[0].parent / f"{others[0].name}.damaged").is_dir(), "set aside, not lost"
    shutil.rmtree(chosen)
    rescued(study, whole)


def test_a_killed_cell_whose_best_checkpoint_is_damaged_is_trained_anew(study):
    whole = study.folder.parent / "whole"
    assert run("study", study.study, *OVERFITS, "--set", f"output={whole}", timeout=240).code == 0
    (expected,) = json.loads((whole / "study_state.json").read_text())["cells"].values()
    settings = [*OVERFITS, "--set", "train.checkpoint_every_steps=1"]
    killed(study, "train.step@18=kill", *settings)
    best = sorted(p for p in (study / "study" / "cells").rglob("step_*") if p.is_dir())[0]
    weights = best / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    done = run("study", study.study, *settings, timeout=240)
    assert done.code == 0 and f"damaged checkpoint, the cell is trained anew: {best}" in done.err, done.err
    (cell,) = cells(study).values()
    assert same(cell, expected) and cell["chosen_step"] < EPOCHS
    assert (study / "study" / "eval" / "records.jsonl").read_text() == (whole / "eval" / "records.jsonl").read_text()
