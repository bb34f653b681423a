"""A whole study on a tiny random model: from data to verdict in seconds, killed and continued, on one rank and two."""

import json
import re

import pytest
from program import BUILD, run
from tiny import documents, study_in, write_jsonl

STUDY = """
model: {0}/model
task: task.yaml
prompts: variants.yaml
training_prompt: {{name: plain, end_of_target: "<|endoftext|>"}}
output: {0}/study
sizes: [6, 24]
seeds: [1, 2]
learning_rates: [1e-3, 5e-3]
train:
  epochs: 2
  batching: {{global_batch: {{examples: 6}}, micro_batch_tokens: 128}}
  schedule: {{kind: constant}}
  checkpoint_every_steps: 2
  log_every_steps: 1
verdict: {{resamples: 200, coverage_studies: 0}}
timed_documents: 8
threads: 1
"""


@pytest.fixture
def study(own):
    return study_in(own, STUDY)


def state(study):
    return json.loads((study / "study" / "study_state.json").read_text())


def records(study):
    return (study / "study" / "eval" / "records.jsonl").read_text()


def verdict(report):
    """What a report says that no clock decides."""
    return {key: report[key] for key in ("sentence", "headline", "arms", "equal_data", "curves", "won", "lost", "prompts")}


def test_whole_study_and_scoring_is_the_same_on_two_ranks(study):
    done = run("study", study.study, "--json", timeout=240)
    assert done.code == 0, done.err
    first = done.json()
    assert first["headline"]["verdict"] in ("better", "worse", "cannot tell")
    roles = {arm["role"] for arm in first["arms"]}
    assert {"zero-shot", "few-shot", "fine-tuned"} <= roles, roles
    assert sum(arm["baseline"] for arm in first["arms"]) == 1 == sum(arm["candidate"] for arm in first["arms"])
    cells = state(study)["cells"]
    assert len(cells) == 6, "two sizes, two rates by the first seed, one more seed each"
    kept = [name for name, cell in cells.items() if not cell["removed"]]
    assert len(kept) == 4
    for name, cell in cells.items():
        folder = study / "study" / cell["checkpoint"]
        assert folder.exists() != cell["removed"], name
        if not cell["removed"]:
            assert [p.name for p in (folder / "trainer_state").iterdir()] == ["state.json"], "moments are gone"
            assert run("inspect", folder, "--verify").code == 0
    small = [json.loads(line)["id"] for line in open(study / "study" / "data" / "train_6.jsonl")]
    large = [json.loads(line) for line in open(study / "study" / "data" / "train_24.jsonl")]
    assert [row["id"] for row in large[:6]] == small, "nested"
    assert sorted(row["colour"] for row in large) == sorted(["red", "green", "blue"] * 8), "balanced"
    facts = {(fact["group"], fact["name"]): fact["value"] for fact in first["provenance"]}
    version = run("--version").out.strip()
    assert facts["software", "finished by"].startswith(f"{version}, libtorch 2."), facts
    assert facts["software", "trained by"] == facts["software", "finished by"]
    trained = json.loads((study / "study" / cells[kept[0]]["checkpoint"] / "trainer_state" / "state.json").read_text())
    assert facts["model", "tokenizer"] == trained["tokenizer_fingerprint"]
    assert facts["study", "config"] == state(study)["fingerprint"].split("-")[0]
    assert facts["scoring", "ranks"] == facts["training", "ranks"] == "1 rank, 1 thread each"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", facts["study", "finished"])
    looks = (study / "study" / "eval" / "ledger.jsonl").read_text().splitlines()
    assert len(looks) == 1 and (study / "test.jsonl.ledger.jsonl").read_text().splitlines() == looks
    report = study / "study" / "report.json"
    written = report.read_text()
    report.unlink()
    again = run("report", study / "study", "--json")
    assert again.code == 0 and again.out == done.out == written == report.read_text(), again.err
    flipped = [flip["id"] for flip in first["won"] + first["lost"]]
    assert all(first["prompts"][name].startswith(("Thing: ", "What colour")) for name in flipped), first["prompts"]
    assert len(first["prompts"]) == 36
    for name, cell in cells.items():
        assert 0 < cell["validation_loss"] < 20, (name, cell)
    assert any(curve["validation_losses"] for curve in first["training"])
    assert "Tuning: 6 trainings and their scores on dev" in (study / "study" / "report.md").read_text()
    served = json.loads((study / "study" / "study.json").read_text())["costs"]
    for side in ("prompt", "tuned"):
        assert len(served[side]["batches"]) == 2, "8 documents, 3 or more a batch"
        assert len(served[side]["cached_batches"]) in (0, 2)

    # The same checkpoints, scored again by two ranks: nothing is trained, every record is the same.
    before = records(study)
    trained = {name: cell["seconds"] for name, cell in cells.items()}
    now = state(study)
    now["arms"] = {key: arm for key, arm in now["arms"].items() if cells.get(key.split("/")[1], {}).get("removed")}
    (study / "study" / "study_state.json").write_text(json.dumps(now))
    (study / "study" / "study.json").unlink()
    again = run("study", study.study, "--json", ranks=2, timeout=240)
    assert again.code == 0, again.err
    assert {name: cell["seconds"] for name, cell in state(study)["cells"].items()} == trained
    assert records(study) == before
    assert verdict(again.json()) == verdict(first)
    assert len((study / "study" / "eval" / "ledger.jsonl").read_text().splitlines()) == 1

    # Another study's records on the same documents may have the same arms' names.
    path = study / "study" / "eval" / "records.jsonl"
    mine = path.read_text()
    whose = next(record for record in map(json.loads, mine.splitlines()) if record["split"] == "test" and record["model"] != "base")
    path.write_text(mine.replace(whose["model_hash"], "0" * 16))
    mixed = run("report", study / "study")
    assert mixed.code == 65 and "another study's records" in mixed.err and whose["model_hash"] in mixed.err, mixed.err


@pytest.mark.parametrize(
    "fault",
    ["train.step@5=kill", "study.cell_done@2=kill", "study.arm_done@5=kill", "study.after_ledger=kill"],
)
def test_killed_and_continued_is_the_same_study(study, fault):
    whole = study.folder.parent / "whole"
    uninterrupted = run("study", study.study, "--json", "--set", f"output={whole}", timeout=240)
    assert uninterrupted.code == 0, uninterrupted.err
    killed = run("study", study.study, env={"BREAKEVEN_FAULT": fault}, program=BUILD / "breakeven_faulty", timeout=240)
    assert killed.code != 0 and not (study / "study" / "study.json").exists(), killed.err
    finished = state(study)["cells"] if (study / "study" / "study_state.json").exists() else {}
    done = run("study", study.study, "--json", timeout=240)
    assert done.code == 0, done.err
    assert records(study) == (whole / "eval" / "records.jsonl").read_text()
    assert verdict(done.json()) == verdict(uninterrupted.json())
    for name, cell in finished.items():
        assert state(study)["cells"][name]["seconds"] == cell["seconds"], "a finished cell was trained again"
    assert len((study / "study" / "eval" / "ledger.jsonl").read_text().splitlines()) == 1


def test_a_killed_cell_whose_checkpoint_is_damaged_is_trained_anew(study):
    whole = study.folder.parent / "whole"
    small = ["--set", "sizes=[24]", "--set", "seeds=[1]", "--set", "learning_rates=[1e-3]", "--json"]
    uninterrupted = run("study", study.study, *small, "--set", f"output={whole}", timeout=240)
    assert uninterrupted.code == 0, uninterrupted.err
    faulty = {"env": {"BREAKEVEN_FAULT": "train.step@7=kill"}, "program": BUILD / "breakeven_faulty"}
    assert run("study", study.study, *small, timeout=240, **faulty).code != 0
    (cell,) = (study / "study" / "cells").iterdir()
    # The last save may have been under way; the one before it was whole when that began.
    newest = sorted(path for path in (cell / "checkpoints").glob("step_*") if path.suffix != ".tmp")[-1]
    weights = newest / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    done = run("study", study.study, *small, timeout=240)
    assert done.code == 0, done.err
    assert f"damaged checkpoint, the cell is trained anew: {newest}" in done.err, done.err
    assert (newest.parent / f"{newest.name}.damaged").is_dir(), "set aside, not lost"
    assert records(study) == (whole / "eval" / "records.jsonl").read_text()


def test_a_search_among_prompts_goes_on_where_it_was_killed(study):
    search = "prompt_search={budget_documents: 72, shot_sets: 3, keep: 1}"
    small = ["--set", "sizes=[6]", "--set", "seeds=[1]", "--set", "learning_rates=[1e-3]", "--set", search, "--json"]
    small += ["--set", "allow_small_dev=true"]
    whole = study.folder.parent / "whole"
    uninterrupted = run("study", study.study, *small, "--set", f"output={whole}", timeout=240)
    assert uninterrupted.code == 0, uninterrupted.err
    faulty = {"env": {"BREAKEVEN_FAULT": "study.search_score@1=kill"}, "program": BUILD / "breakeven_faulty"}
    killed = run("study", study.study, *small, timeout=240, **faulty)
    assert killed.code != 0, killed.err
    assert len(state(study)["search"]) == 2 and not state(study)["arms"]
    done = run("study", study.study, *small, timeout=240)
    assert done.code == 0, done.err
    assert records(study) == (whole / "eval" / "records.jsonl").read_text()
    assert verdict(done.json()) == verdict(uninterrupted.json())
    listed = json.loads((study / "study" / "study.json").read_text())
    assert listed["num_prompts_tried"] > len(listed["variants"]), listed["variants"]
    assert any("A search tried" in caution for caution in listed["cautions"]), listed["cautions"]
    dry = run("study", study.study, "--dry-run", "--set", search, "--set", "allow_small_dev=true")
    assert "a search tries 5" in dry.out, dry.err


def test_dry_run_says_the_plan_and_writes_nothing(study):
    done = run("study", study.study, "--dry-run", ranks=2)
    assert done.code == 0, done.err
    for part in ("cells: 6", "n24_lr0.005_s1", "disk: up to", "time: about", "36 of test", "scoring", "by the repeats of a short probe"):
        assert part in done.out, done.out
    assert not (study / "study").exists()


def test_what_cannot_be_told_or_must_not_be_is_said(study):
    write_jsonl(study / "test.jsonl", list(documents(20, 200)))
    done = run("study", study.study, "--dry-run")
    assert done.code == 0 and "fewer than 30" in done.out, done.err
    write_jsonl(study / "test.jsonl", [*documents(20, 200), {**next(documents(1, 3)), "id": "copy"}])
    done = run("study", study.study, "--dry-run")
    assert done.code == 65 and "splits overlap" in done.err and "lines 21 and 4" in done.err, done.err
    write_jsonl(study / "test.jsonl", documents(36, 200))
    write_jsonl(study / "dev.jsonl", documents(4, 100))
    done = run("study", study.study, "--dry-run")
    assert done.code == 64 and "allow_small_dev" in done.err, done.err
    write_jsonl(study / "dev.jsonl", documents(24, 100))
    done = run("study", study.study, "--dry-run", "--set", "sizes=[6,1000]")
    assert done.code == 65 and "48 training documents" in done.err, done.err


def near(study, count):
    """Test documents of which `count` differ from a train document by one word of many."""
    words = "a thing that lies on the old table by the window of the small house near the river, where we used to go in summer"
    write_jsonl(study / "train.jsonl", [*documents(43), *({"id": f"n{i}", "thing": f"{words} {i}", "colour": "red"} for i in range(5))])
    copies = [{"id": f"c{i}", "thing": f"{words} {i} too", "colour": "red"} for i in range(count)]
    write_jsonl(study / "test.jsonl", [*documents(40 - count, 200), *copies])


def test_near_duplicates_between_splits_are_listed_and_refused_above_a_share(study):
    near(study, 2)
    done = run("study", study.study, "--dry-run")
    assert done.code == 0, done.err
    assert "2 of 40 documents of 'test'" in done.out and "nearly equal to one in 'train'" in done.out, done.out
    assert "lines 39 and 44, 40 and 45" in done.out, done.out
    near(study, 5)
    done = run("study", study.study, "--dry-run")
    assert done.code == 65 and "overlap.max_near_share" in done.err and "5 of 40" in done.err, done.err
    done = run("study", study.study, "--dry-run", "--set", "overlap.max_near_share=0.2")
    assert done.code == 0, done.err
    done = run("study", study.study, "--dry-run", "--set", "overlap.near_similarity=0")
    assert done.code == 0 and "nearly" not in done.out, done.err


def test_a_prompt_that_shows_the_answer_is_refused(study):
    leaking = (study / "variants.yaml").read_text() + '  - {name: leaks, doc_to_text: "{{ thing }} ({{ colour }})\\nColour:"}\n'
    (study / "variants.yaml").write_text(leaking)
    for command, config in (("study", study.study), ("eval", study.eval)):
        done = run(command, config, "--dry-run")
        assert done.code == 65 and len(done.messages()) == 1, done.err
        for part in ("dev.jsonl", "prompt 'leaks' shows the answer", "the field 'colour'", "Line 1, whose answer is 'green'",
                     "(green)", "allow_answer_in_prompt"):
            assert part in done.err, done.err
        done = run(command, config, "--dry-run", "--set", "allow_answer_in_prompt=true")
        assert done.code == 0 and "'leaks' shows the answer" in done.out + done.err, done.err


def test_prompts_longer_than_the_context_are_counted_and_refused(study):
    done = run("study", study.study, "--dry-run", "--set", "max_length=56")
    assert done.code == 65, done.err
    for part in ("prompt 'shots'", "24 documents of dev", "lose their start", "allow_truncated"):
        assert part in done.err, done.err
    small = ["--set", "sizes=[6]", "--set", "seeds=[1]", "--set", "learning_rates=[1e-3]", "--set", "timed_documents=0"]
    done = run("study", study.study, *small, "--set", "max_length=16", "--set", "allow_truncated=true", "--json", timeout=240)
    assert done.code == 0, done.err
    report = done.json()
    assert "few-shot" in {arm["role"] for arm in report["arms"]}, "allowed to these as to the others"
    for arm in report["arms"]:
        assert 0 < arm["num_truncated"] <= 36, arm
        assert any(arm["name"] in c and "were cut on the left" in c for c in report["cautions"]), report["cautions"]


def test_a_draw_of_shots_that_is_too_long_is_refused_before_the_search(study):
    fits = ["--dry-run", "--set", "max_length=68", "--set", "allow_small_dev=true"]
    done = run("study", study.study, *fits)
    assert done.code == 0, done.err
    search = ["--set", "prompt_search={budget_documents: 240, shot_sets: 8, keep: 1}"]
    done = run("study", study.study, *fits, *search)
    assert done.code == 65 and "prompt 'shots-set" in done.err and "lose their start" in done.err, done.err
    done = run("study", study.study, *fits[1:], *search)
    assert done.code == 65 and "prompt 'shots-set" in done.err, done.err
    assert not (study / "study" / "study_state.json").exists(), "nothing was asked"


def test_a_model_whose_scores_are_no_numbers_ends_the_study(study):
    from safetensors.numpy import load_file, save_file

    path = study / "model" / "model.safetensors"
    weights = load_file(path)
    weights["model.norm.weight"][:] = float("nan")
    save_file(weights, path, metadata={"format": "pt"})
    (study / "model" / "manifest.json").unlink(missing_ok=True)
    done = run("study", study.study)
    assert done.code == 65 and len(done.messages()) == 1, done.err
    assert f"model 'base' in {study.folder}/model" in done.err and "not a number" in done.err, done.err


def test_shots_that_are_asked_too_are_said(study):
    write_jsonl(study / "dev.jsonl", [*documents(39, 100), {**next(documents(1, 3)), "id": "copy"}])
    done = run("eval", study.eval, "--dry-run")
    assert done.code == 0 and "1 of 40 documents of 'dev'" in done.err and "from which shots are drawn" in done.err, done.err
    write_jsonl(study / "dev.jsonl", [*documents(20, 100), *({**row, "id": f"copy {row['id']}"} for row in documents(20))])
    done = run("eval", study.eval, "--dry-run")
    assert done.code == 65 and "20 of 40 documents of 'dev'" in done.err, done.err


def test_another_config_does_not_go_on_in_the_folder_and_a_second_look_is_flagged(study):
    small = ["--set", "sizes=[6]", "--set", "seeds=[1]", "--set", "learning_rates=[1e-3]", "--json"]
    assert run("study", study.study, *small, timeout=240).code == 0
    written = (study / "study" / "config.yaml").read_text()
    other = run("study", study.study, *small, "--set", "train.epochs=3", timeout=240)
    assert other.code == 64 and "another config" in other.err, other.err
    config = study / "model" / "config.json"
    before = config.read_text()
    config.write_text(json.dumps({**json.loads(before), "rms_norm_eps": 0.5}))
    other = run("study", study.study, *small, timeout=240)
    assert other.code == 64 and "another config, model" in other.err, other.err
    config.write_text(before)
    other = run("study", study.study, *small, "--set", "precision=bfloat16", timeout=240)
    assert other.code == 64, other.err
    assert (study / "study" / "config.yaml").read_text() == written, "that of the study that is there"
    second = ["--set", "train.epochs=3", "--set", f"output={study.folder}/second"]
    done = run("study", study.study, *small, *second, timeout=240)
    assert done.code == 0, done.err
    assert any("looked at before" in caution for caution in done.json()["cautions"])
    first, ours = done.json()["looks"]
    assert first["changed"] == [] and first["arms"] == ours["arms"]
    assert ours["changed"] == [arm for arm in ours["arms"] if not arm.startswith("base/")], ours
