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
    low, high = report["control"]["efficiency_interval"]
    assert 0 < low <= report["control"]["efficiency"] <= high


def test_table_on_two_ranks(prepared):
    result = run("bench", "step", prepared.train, *SMALL, ranks=2)
    assert result.code == 0, result.err
    assert "2 ranks" in result.out and "tokens/s without padding" in result.out
