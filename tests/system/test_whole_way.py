"""Raw text to a table, on a tiny model: the quickstart's path in seconds; and the installed program."""

import json
import os
import subprocess

from program import BUILD, ROOT, run


def test_train_scores_its_checkpoints_beside_the_base_model(own):
    extra = """
validation: {{data: {0}/tokens/dev.h5, every_steps: 3}}
checkpoint: {{every_steps: 3, keep_last: 2}}
prompt_eval:
  task: task.yaml
  prompts: variants.yaml
  split: dev
  sealed_split: test
""".format(own.folder)
    text = own.train.read_text().replace(
        f"model: {{config: {own.folder}/scratch/config.json, tokenizer: {own.folder}/scratch}}",
        f"model: {{path: {own.folder}/model}}",
    )
    path = own.write("whole.yaml", text + extra)
    result = run("train", path, "--json", ranks=2)
    assert result.code == 0, result.err
    summary = result.json()
    assert summary["steps"] == 6 and summary["best_validation_loss"] > 0
    arms = summary["prompt_eval"]["arms"]
    dev = [arm for arm in arms if arm["split"] == "dev"]
    test = [arm for arm in arms if arm["split"] == "test"]
    assert {arm["variant"] for arm in dev} == {"plain", "asked", "shots"}
    assert len({arm["model"] for arm in dev}) >= 2
    assert 0 < len(test) < len(dev), "test is scored with the chosen arms only"
    assert all(arm["n"] == 13 for arm in test) and all(arm["n"] == 17 for arm in dev)
    table = (own / "run" / "eval" / "table.md").read_text()
    assert "plain" in table and "±" in table
    assert (own / "run" / "config.yaml").read_text() == run("train", path, "--print-config").out
    events = [json.loads(line) for line in (own / "run" / "metrics.jsonl").read_text().splitlines()]
    scored = [event for event in events if event["event"] == "prompt_eval"]
    assert [(e["model"], e["variant"], e["split"], e["n"], e["acc"], e["acc_standard_error"]) for e in scored] == [
        (a["model"], a["variant"], a["split"], a["n"], a["metrics"]["acc"]["value"], a["metrics"]["acc"]["standard_error"])
        for a in arms
    ]
    assert "look" in summary["prompt_eval"] and summary["prompt_eval"] == json.loads(
        (own / "run" / "eval" / "summary.json").read_text()
    ), "--json says what the files say"
    assert {event["step"] for event in scored} == {6} and events[-1]["event"] == "prompt_eval"
    for line in (own / "run" / "eval" / "records.jsonl").read_text().splitlines():
        record = json.loads(line)
        assert record["format"] == 1
        if record["model"].startswith("tuned@"):
            assert (record["train_size"], record["seed"], record["step"]) == (48, 3, int(record["model"][-6:]))


def test_a_signal_while_prompts_are_scored_asks_for_a_requeue(own):
    extra = "prompt_eval: {task: task.yaml, prompts: variants.yaml, split: dev}\n"
    path = own.write("whole.yaml", own.train.read_text() + extra)
    fault = {"BREAKEVEN_FAULT": "eval.stop_signal@1:1=errno:4"}
    result = run("train", path, ranks=2, env=fault, program=BUILD / "breakeven_faulty")
    assert result.code == 75, result.err
    assert len(result.messages()) == 1, result.err
    for part in ("the training is done and saved in", "step_000006", "while prompts were scored"):
        assert part in result.err, result.err
    assert not (own / "run" / "eval" / "records.jsonl").exists()
    again = run("train", path, ranks=2)
    assert again.code == 0, again.err
    assert (own / "run" / "eval" / "records.jsonl").exists()


def test_prompts_that_cannot_be_scored_are_found_before_the_training(own):
    (own / "test.jsonl").write_text((own / "test.jsonl").read_text() + '{"id": "last", "colour": "red"}\n')
    extra = "prompt_eval: {task: task.yaml, prompts: variants.yaml, split: dev, sealed_split: test}\n"
    source = f"model: {{config: {own.folder}/scratch/config.json, tokenizer: {own.folder}/scratch}}"
    path = own.write("whole.yaml", own.train.read_text().replace(source, f"model: {{path: {own.folder}/model}}") + extra)
    for arguments in (["--dry-run"], []):
        result = run("train", path, *arguments, ranks=2)
        assert result.code == 65, result.err
        assert "line 14" in result.err and "thing" in result.err and len(result.messages()) == 1, result.err
    assert not (own / "run").exists()


def test_run_folders_and_latest_stand_for_their_checkpoint(own):
    assert run("train", own.train).code == 0
    first = own / "run"
    base = own.train.read_text().replace(f"output: {first}", f"output: {own.folder}/second")
    source = f"model: {{config: {own.folder}/scratch/config.json, tokenizer: {own.folder}/scratch}}"
    extra = f"prompt_eval: {{task: task.yaml, prompts: variants.yaml, models: {{former: {first}}}}}\n"
    path = own.write("second.yaml", base.replace(source, f"model: {{path: {first}, tokenizer: {first}/checkpoints/latest}}") + extra)
    result = run("train", path, "--json")
    assert result.code == 0, result.err
    assert {"former", "base"} <= {arm["model"] for arm in result.json()["prompt_eval"]["arms"]}
    assert f"path: {first}/checkpoints/step_000006" in (own / "second" / "config.yaml").read_text().replace("'", "").replace('"', "")
    third = ["--set", f"output={own.folder}/third", "--set", f"resume={first}/checkpoints/latest", "--set", "max_steps=8"]
    result = run("train", own.train, *third)
    assert result.code == 0, result.err
    assert f"going on from {first}/checkpoints/step_000006 at step 6 of 8" in result.err, result.err


def test_a_run_folder_is_its_newest_checkpoint_whatever_latest_says(own):
    """A kill between the rename of a checkpoint and the writing of `latest` leaves that one behind; train goes on from the newest."""
    assert run("train", own.train, "--set", "checkpoint.every_steps=3").code == 0
    checkpoints = own / "run" / "checkpoints"
    (checkpoints / "latest").write_text("step_000003\n")
    models = f"models: {{newest: {own.folder}/run, named: {checkpoints}/latest}}"
    path = own.write("two.yaml", own.eval.read_text().replace(f"models: {{tiny: {own.folder}/model}}", models))
    assert models in path.read_text()
    result = run("eval", path)
    assert result.code == 0, result.err
    records = [json.loads(line) for line in (own / "eval" / "records.jsonl").read_text().splitlines()]
    assert {(record["model"], record["step"]) for record in records} == {("newest", 6), ("named", 3)}
    (checkpoints / "step_000006" / "manifest.json").unlink()
    result = run("eval", path, ranks=2)
    assert result.code == 65 and len(result.messages()) == 1, result.err
    assert "step_000006: no checkpoint" in result.err and "newest checkpoint of" in result.err, result.err


def test_stdout_is_results_only(prepared, tmp_path):
    result = run("train", prepared.train, "--json", "--set", f"output={tmp_path}/r", ranks=2)
    assert result.code == 0, result.err
    assert set(result.json()) >= {"steps", "seconds", "tokens_per_second", "peak_memory_bytes", "last_checkpoint"}


def test_a_full_stdout_is_an_error(prepared):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [BUILD / "breakeven", "inspect", prepared / "model"], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 74 and "standard output" in done.stderr


def test_installed_program_works_without_python_or_environment(prepared, tmp_path):
    installed = subprocess.run(
        ["cmake", "--install", BUILD, "--prefix", tmp_path / "opt"], capture_output=True, text=True
    )
    assert installed.returncode == 0, installed.stderr
    program = tmp_path / "opt" / "bin" / "breakeven"
    libraries = subprocess.run(["ldd", program], capture_output=True, text=True, env={}).stdout
    assert "libtorch_cpu" in libraries and "not found" not in libraries
    assert "libpython" not in libraries and "libtorch_python" not in libraries
    done = subprocess.run(
        [program, "generate", "--set", f"model={prepared.folder}/model", "--set", "prompts=Thing: sky", "--json"],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        cwd=tmp_path,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["prompt"] == "Thing: sky"


def test_quickstart_explains_itself():
    script = ROOT / "launch" / "quickstart.sh"
    shown = subprocess.run([script, "--help"], capture_output=True, text=True)
    assert shown.returncode == 0 and "--ranks" in shown.stdout
    wrong = subprocess.run([script, "--rank", "2"], capture_output=True, text=True)
    assert wrong.returncode == 64 and "--rank" in wrong.stderr


def test_a_failing_step_of_the_quickstart_says_which_and_how_to_go_on(tmp_path):
    """A copy of the scripts in which cmake fails."""
    tree = tmp_path / "tree"
    (tree / "launch").mkdir(parents=True)
    for name in ("quickstart.sh", "lib.sh"):
        (tree / "launch" / name).write_text((ROOT / "launch" / name).read_text())
        (tree / "launch" / name).chmod(0o755)
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "cmake").write_text("#!/bin/sh\necho 'no compiler here' >&2\nexit 7\n")
    (tools / "cmake").chmod(0o755)
    done = subprocess.run(
        [tree / "launch" / "quickstart.sh", "--only", "build"],
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"},
    )
    assert done.returncode == 7
    for part in ("no compiler here", "step 'configure-release' failed", ".cache/logs/configure-release.log", "--only build"):
        assert part in done.stderr, done.stderr
