"""Help, config errors, --set, --print-config, --dry-run: issue by issue what a user meets first."""

import json

import pytest
from program import ROOT, run

COMMANDS = ("prepare", "train", "eval", "study", "generate", "scale", "inspect", "launch", "bench")


def expect_error(result, code, *parts):
    assert result.code == code, (result.code, result.err)
    assert len(result.messages()) == 1, result.err
    for part in parts:
        assert part in result.err, (part, result.err)


def test_no_command_says_which_there_are():
    expect_error(run(), 64, "no command given", "prepare, train, eval, study, generate, report, scale, inspect, launch, bench")


def test_bench_without_a_name_says_which_there_are():
    expect_error(run("bench"), 64, "no bench given", "allreduce")
    expect_error(run("bench", "alreduce"), 64, "unknown bench 'alreduce'", "did you mean 'allreduce'?")


def test_unknown_command_suggests():
    expect_error(run("trian"), 64, "unknown command 'trian'", "did you mean 'train'?")


def test_unknown_option():
    expect_error(run("train", "--dryrun"), 64, "--dryrun")


def test_help_lists_exactly_the_commands_there_are():
    result = run("--help")
    assert result.code == 0
    for command in COMMANDS:
        assert f"\n  {command} " in result.out
    assert "75" in result.out and "run the\nsame command again" in result.out


@pytest.mark.parametrize("command", [*COMMANDS[:-1], "bench allreduce"])
def test_help_of_each_command_teaches(command):
    result = run(*command.split(), "--help")
    assert result.code == 0
    assert "Examples:" in result.out and f"breakeven {command}" in result.out
    assert "--set" in result.out and "Exit codes" in result.out


def test_help_is_printed_once_under_mpirun():
    result = run("--help", ranks=3)
    assert result.code == 0
    assert result.out.count("Exit codes") == 1


def test_help_promises_only_what_there_is():
    text = run("--help").out
    assert "pay back" not in text
    assert "70 hung, or internal error" in text


def test_set_that_is_not_utf8(tmp_path):
    result = run("prepare", b"--set", b"task.splits.train.path=tr\xe4in.jsonl")
    expect_error(result, 64, "--set task.splits.train.path", "not UTF-8")


def test_version():
    result = run("--version")
    assert (result.code, result.out.split()[0]) == (0, "breakeven")


@pytest.mark.parametrize("command", [*(c for c in COMMANDS if c not in ("inspect", "bench")), "bench allreduce"])
def test_table_of_keys(command):
    result = run(*command.split(), "--help-config")
    assert result.code == 0
    assert result.out.startswith("| key | allowed | default | meaning |")
    assert result.out in (ROOT / "configs" / "REFERENCE.md").read_text()


def test_missing_config_file():
    expect_error(run("train", "nowhere.yaml"), 64, "nowhere.yaml: cannot open")


def test_unknown_key_has_place_and_suggestion(tiny):
    path = tiny.write("bad.yaml", tiny.train.read_text().replace("learning_rate", "learning_rat"))
    line = next(i for i, text in enumerate(path.read_text().splitlines(), 1) if "learning_rat" in text)
    expect_error(
        run("train", path), 64, f"bad.yaml:{line}:13: unknown key 'learning_rat' in optimizer", "'learning_rate'?"
    )


@pytest.mark.parametrize(
    "option, parts",
    [
        ("optimizer.learning_rate=fast", ["optimizer.learning_rate", "the text 'fast'", "a number above 0"]),
        ("optimizer.learning_rate=0", ["the number 0", "above 0"]),
        ("max_steps=1.5", ["max_steps", "the number 1.5", "an integer"]),
        ("schedule.kind=linaer", ["one of constant, linear", "Did you mean 'linear'?"]),
        ("optimiser.beta1=0.5", ["unknown key 'optimiser'", "Did you mean 'optimizer'?"]),
        ("batching.global_batch=[1", ["batching.global_batch"]),
        ("seed", ["expected path.to.key=value"]),
        ("model=models/x", ["a section (a map) or the path of a .yaml file"]),
    ],
)
def test_set_errors(tiny, option, parts):
    expect_error(run("train", tiny.train, "--set", option), 64, "--set " + option, *parts)


def test_all_problems_are_listed_at_once(tiny):
    result = run("train", tiny.train, "--set", "seed=-1", "--set", "epochs=0", "--set", "log_every_steps=[2]")
    expect_error(result, 64, "seed: found the number -1", "epochs: found the number 0", "log_every_steps: found a list")


def test_required_key(tiny):
    path = tiny.write("bad.yaml", tiny.train.read_text().replace("data:", "#data:"))
    expect_error(run("train", path), 64, "data: this key is required and missing")


def test_rules_between_keys_are_checked(tiny):
    expect_error(run("train", tiny.train, "--set", "model.path=elsewhere"), 64, "train.yaml: ", "model.path", "model.config")


@pytest.mark.parametrize("command", ["prepare", "train", "eval"])
def test_printed_config_reads_back_the_same(tiny, command):
    path = getattr(tiny, command)
    first = run(command, path, "--print-config", "--set", "threads=3")
    assert first.code == 0, first.err
    assert "threads: 3" in first.out
    second = run(command, tiny.write("printed.yaml", first.out), "--print-config")
    assert second.out == first.out
    as_json = run(command, path, "--print-config", "--json", "--set", "threads=3")
    assert json.loads(as_json.out)["threads"] == 3
    third = run(command, tiny.write("printed.json", as_json.out), "--print-config")
    assert third.out == first.out


def test_config_is_printed_once_under_mpirun(tiny):
    assert run("train", tiny.train, "--print-config", ranks=2).out == run("train", tiny.train, "--print-config").out


def test_set_alone_is_a_config(tiny):
    result = run("generate", "--set", "model=m", "--set", "prompts=Question: why?", "--print-config")
    assert result.code == 0, result.err
    assert 'prompts: ["Question: why?"]' in result.out


@pytest.mark.parametrize("ranks", [0, 2])
def test_dry_runs_check_and_write_nothing(prepared, tmp_path, ranks):
    output = tmp_path / "out"
    before = sorted(p.name for p in prepared.folder.iterdir())
    for command in ("prepare", "train", "eval"):
        result = run(command, getattr(prepared, command), "--dry-run", "--set", f"output={output}", ranks=ranks)
        assert result.code == 0, result.err
        assert result.out.strip()
    assert not output.exists()
    assert before == sorted(p.name for p in prepared.folder.iterdir())


def test_dry_run_of_training_estimates_memory(prepared):
    assert "memory per rank" in run("train", prepared.train, "--dry-run").out


def test_dry_runs_find_what_is_missing(tiny):
    expect_error(run("train", tiny.train, "--dry-run"), 65, "tokens/train.h5")
    expect_error(run("eval", tiny.eval, "--dry-run"), 65, "model")
    expect_error(run("prepare", tiny.prepare, "--dry-run", "--set", "tokenizer=nowhere"), 65, "nowhere")
    result = run("generate", "--set", "model=nowhere", "--set", "prompts=x", "--dry-run")
    expect_error(result, 65, "nowhere")
