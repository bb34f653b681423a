"""A whole study on a tiny random model: from data to verdict in seconds, killed and continued, on one rank and two."""

import json

import pytest
from conftest import BUILD, documents, run, write_jsonl

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
    """Enough documents to choose and decide by; texts of the splits differ."""
    write_jsonl(own / "dev.jsonl", documents(24, 100))
    write_jsonl(own / "test.jsonl", documents(36, 200))
    own.study = own.write("study.yaml", STUDY.format(own.folder))
    return own


def state(study):
    return json.loads((study / "study" / "study_state.json").read_text())


def records(study):
    return (study / "study" / "eval" / "records.jsonl").read_text()




def test_whole_study_and_scoring_is_the_same_on_two_ranks(study):
    done = run("study", study.study, "--json", timeout=240)
    assert done.code == 0, done.err
    first = done.json()
    assert first["verdict"] in ("better", "worse", "cannot tell")
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
    looks = (study / "study" / "eval" / "ledger.jsonl").read_text().splitlines()
    assert len(looks) == 1 and (study / "test.jsonl.ledger.jsonl").read_text().splitlines() == looks
    report = study / "study" / "report.json"
    written = report.read_text()
    report.unlink()
    again = run("report", study / "study", "--json")
    assert again.code == 0 and again.out == written == report.read_text(), again.err

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
    assert again.json() == first
    assert len((study / "study" / "eval" / "ledger.jsonl").read_text().splitlines()) == 1


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
    assert done.json() == uninterrupted.json()
    for name, cell in finished.items():
        assert state(study)["cells"][name]["seconds"] == cell["seconds"], "a finished cell was trained again"
    assert len((study / "study" / "eval" / "ledger.jsonl").read_text().splitlines()) == 1


def test_a_search_among_prompts_goes_on_where_it_was_killed(study):
    search = "prompt_search={budget_documents: 72, shot_sets: 3, keep: 1}"
    small = ["--set", "sizes=[6]", "--set", "seeds=[1]", "--set", "learning_rates=[1e-3]", "--set", search, "--json"]
    small += ["--set", "allow_small_dev=true"]
    whole = study.folder.parent / "whole"
    uninterrupted = run("study", study.study, *small, "--set", f"output={whole}", timeout=240)
    assert uninterrupted.code == 0, uninterrupted.err
    faulty = {"env": {"BREAKEVEN_FAULT": "study.search_score@2=kill"}, "program": BUILD / "breakeven_faulty"}
    killed = run("study", study.study, *small, timeout=240, **faulty)
    assert killed.code != 0, killed.err
    assert len(state(study)["search"]) == 2 and not state(study)["arms"]
    done = run("study", study.study, *small, timeout=240)
    assert done.code == 0, done.err
    assert records(study) == (whole / "eval" / "records.jsonl").read_text()
    assert done.json() == uninterrupted.json()
    listed = json.loads((study / "study" / "study.json").read_text())
    assert listed["num_prompts_tried"] > len(listed["variants"]), listed["variants"]
    assert any("A search tried" in caution for caution in listed["cautions"]), listed["cautions"]
    dry = run("study", study.study, "--dry-run", "--set", search, "--set", "allow_small_dev=true")
    assert "a search tries 5" in dry.out, dry.err


def test_dry_run_says_the_plan_and_writes_nothing(study):
    done = run("study", study.study, "--dry-run", ranks=2)
    assert done.code == 0, done.err
    for part in ("cells: 6", "n24_lr0.005_s1", "disk: up to", "time: about", "36 of test"):
        assert part in done.out, done.out
    assert not (study / "study").exists()


def test_what_cannot_be_told_or_must_not_be_is_said(study):
    write_jsonl(study / "test.jsonl", list(documents(20, 200)))
    done = run("study", study.study, "--dry-run")
    assert done.code == 0 and "fewer than 30" in done.out, done.err
    write_jsonl(study / "test.jsonl", [*documents(20, 200), {**next(documents(1, 3)), "id": "copy"}])
    done = run("study", study.study, "--dry-run")
    assert done.code == 65 and "splits overlap" in done.err and "lines 4 and 21" in done.err, done.err
    write_jsonl(study / "test.jsonl", documents(36, 200))
    write_jsonl(study / "dev.jsonl", documents(4, 100))
    done = run("study", study.study, "--dry-run")
    assert done.code == 64 and "allow_small_dev" in done.err, done.err
    write_jsonl(study / "dev.jsonl", documents(24, 100))
    done = run("study", study.study, "--dry-run", "--set", "sizes=[6,1000]")
    assert done.code == 65 and "48 training documents" in done.err, done.err


def test_another_config_does_not_go_on_in_the_folder_and_a_second_look_is_flagged(study):
    small = ["--set", "sizes=[6]", "--set", "seeds=[1]", "--set", "learning_rates=[1e-3]", "--json"]
    assert run("study", study.study, *small, timeout=240).code == 0
    other = run("study", study.study, *small, "--set", "train.epochs=3", timeout=240)
    assert other.code == 64 and "another config" in other.err, other.err
    second = ["--set", "train.epochs=3", "--set", f"output={study.folder}/second"]
    done = run("study", study.study, *small, *second, timeout=240)
    assert done.code == 0, done.err
    assert any("looked at before" in caution for caution in done.json()["cautions"])
