"""`breakeven bench step` from outside: on one rank and on several, its JSON and its control measurement."""

import pytest
from program import run

SMALL = ["--set", "bench_steps=2", "--set", "bench_warmup_steps=1", "--set", "bench_control_batches=2"]


@pytest.mark.parametrize("ranks", [1, 2])
def test_json_splits_a_step_and_has_the_control(prepared, ranks):
    result = run("bench", "step", prepared.train, "--json", *SMALL, ranks=ranks)
    assert result.code == 0, result.err
    report = result.json()
    assert (report["format"], report["world_size"]) == (1, ranks)
    assert report["backend"] == ("mpi" if ranks == 1 else "shared_memory"), "auto is resolved"
    assert 0 < report["cpus_per_node"] <= report["cpus_of_machine"]
    assert report["tokens_per_second"] > 0 and report["peak_memory_bytes"] > 0
    assert 0 < report["mfu"] < 1
    step = report["phases"].pop("step")
    assert step["repeats"] == 2 and step["discarded_repeats"] == 1
    assert set(report["phases"]) == {"input", "forward", "backward", "communication", "update"}
    assert sum(phase["seconds_min"] for phase in report["phases"].values()) <= step["seconds_max"], report["phases"]
    low, high = report["control"]["efficiency_interval"]
    assert 0 < low <= report["control"]["efficiency"] <= high


def test_what_it_predicts_is_what_its_dry_run_says(prepared):
    """Nothing is saved or validated while a bench runs: neither is in the prediction, whatever the config asks for."""
    saves = ["--set", "checkpoint.every_steps=1", "--set", "checkpoint.asynchronous=true"]
    plain = run("bench", "step", prepared.train, "--dry-run", *SMALL)
    saving = run("bench", "step", prepared.train, "--dry-run", *SMALL, *saves)
    assert plain.code == saving.code == 0, saving.err
    memory = [line for line in plain.out.splitlines() if line.startswith("memory per rank")]
    assert memory and memory[0] in saving.out, saving.out
    report = run("bench", "step", prepared.train, "--json", *SMALL, *saves)
    assert report.code == 0, report.err
    mebibytes = int(memory[0].split("about ")[1].split(" MiB")[0].replace(",", ""))
    assert abs(report.json()["predicted_memory_bytes"] / 2**20 - mebibytes) <= 1


def test_a_run_folder_may_stand_where_it_may_in_train(prepared):
    result = run("bench", "step", prepared.train, "--dry-run", *SMALL, "--set", f"model.tokenizer={prepared / 'run'}")
    assert result.code == 0, result.err


def test_shards_count_once(prepared):
    result = run("bench", "step", prepared.train, "--json", *SMALL, "--set", "optimizer.shard=true", ranks=2)
    assert result.code == 0, result.err
    phases = result.json()["phases"]
    parts = sum(phase["seconds_min"] for name, phase in phases.items() if name != "step")
    assert parts <= phases["step"]["seconds_max"], phases


def test_table_on_two_ranks(prepared):
    result = run("bench", "step", prepared.train, *SMALL, ranks=2)
    assert result.code == 0, result.err
    assert "2 ranks" in result.out and "tokens/s without padding" in result.out
