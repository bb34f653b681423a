"""`breakeven bench allreduce` from outside: its JSON, its table, and what it does where no memory can be shared."""

import pytest
from program import BUILD, run


def settings(**values):
    return [part for key, value in values.items() for part in ("--set", f"{key}={value}")]


QUICK = settings(sizes="[8,4000,300000]", repeats=5, seconds=0.01)


def test_json_has_a_figure_for_each_size_and_back_end():
    backends = ["shared_memory", "mpi", "mpi_allreduce", "mpi_allreduce_out_of_place"]
    result = run("bench", "allreduce", "--json", *QUICK, *settings(backends=f"[{','.join(backends)}]"), ranks=2)
    assert result.code == 0, result.err
    report = result.json()
    assert (report["format"], report["world_size"], report["num_nodes"]) == (1, 2, 1)
    assert report["cpu"]
    assert [(r["bytes"], r["backend"]) for r in report["results"]] == [(s, b) for s in (8, 4000, 300000) for b in backends]
    for figure in report["results"]:
        assert figure["correct"] is True and figure["dtype"] == "float32"
        assert 0 < figure["seconds_min"] <= figure["seconds_median"] <= figure["seconds_max"]
        assert figure["busbw_gb_per_second"] == pytest.approx(figure["bytes"] / figure["seconds_median"] / 1e9)
        assert figure["repeats"] == 5 and figure["discarded_repeats"] == 3
    assert [fit["backend"] for fit in report["fits"]] == backends
    assert all(fit["alpha_seconds"] >= 0 and fit["r_squared"] <= 1 for fit in report["fits"])


@pytest.mark.parametrize("ranks", [1, 3])
def test_table_on_any_number_of_ranks(ranks):
    result = run("bench", "allreduce", *QUICK, *settings(dtypes="[bfloat16]", backends="[shared_memory,mpi]"), ranks=ranks)
    assert result.code == 0, result.err
    assert result.out.count("correct") == 6 and "WRONG" not in result.out
    assert f"{ranks} ranks on 1 node" in result.out


def test_auto_is_what_training_takes_and_none_is_measured_twice():
    result = run("bench", "allreduce", "--json", *QUICK, *settings(backends="[auto,mpi,shared_memory]", device="cpu"), ranks=2)
    assert result.code == 0, result.err
    assert [r["backend"] for r in result.json()["results"]] == ["shared_memory", "mpi"] * 3


def test_mpi_knows_no_bfloat16():
    result = run("bench", "allreduce", *QUICK, *settings(dtypes="[bfloat16]", backends="[mpi_allreduce]"), ranks=2)
    assert result.code == 64
    assert "bfloat16" in result.err and len(result.messages()) == 1


def test_without_shared_memory_it_is_mpi_and_the_warning_says_what_to_do():
    result = run(
        "bench", "allreduce", "--json", *QUICK, *settings(backends="[shared_memory]"),
        ranks=2, program=BUILD / "breakeven_faulty",
        env={"BREAKEVEN_FAULT": "shared_memory.memfd=errno:38,shared_memory.reserve:1=errno:ENOSPC"},
    )  # fmt: skip
    assert result.code == 0, result.err
    assert {r["backend"] for r in result.json()["results"]} == {"mpi"}
    for part in ("share no memory", "rank 1", "/dev/shm is ", "MiB of them free", "--shm-size"):
        assert part in result.err, result.err


def test_dry_run_says_sizes_and_memory():
    result = run("bench", "allreduce", "--dry-run")
    assert result.code == 0
    assert "8 B, 32 B" in result.out and "1 GiB" in result.out and "back ends: shared_memory" in result.out
