"""`breakeven scale` from outside: a tiny sweep killed and gone on with, failed runs, array jobs, its page in a browser."""

import csv
import json
import re
import shutil
import signal
import socket
import subprocess

import pytest

from browser import DESK, PHONE, open_page, opens_whole
from program import BREAKEVEN, ROOT, environment, run

HOSTILE = "</script><script>window.broken = 1</script>"

SWEEP = """
title: "{title}"
output: {output}
train: {{data: {tiny}/tokens/train.h5, output: unused, seed: 3, threads: 1, batching: {{micro_batch_tokens: 128}}}}
models: {{tiny: {{path: {tiny}/model}}}}
scaling: [strong, weak]
strong_batch: {{examples: 4}}
weak_batch: {{examples: 2}}
world_sizes: [1, 2]
backends: [mpi]
repeats: 2
steps: 2
warmup_steps: 1
all_reduce: false
price_per_device_hour: 2
mpirun: [mpirun, --bind-to, none, --oversubscribe, --mca, mpi_yield_when_idle, "1"]
forecast:
  clusters: {{gpus: {root}/configs/clusters/h100_400g.yaml, here: {root}/configs/clusters/cpu_10gbe.yaml}}
  workloads:
    tiny: {{model: {tiny}/model/config.json, measured_model: tiny, sequence_tokens: 20, tokens_per_rank: 200}}
  world_sizes: [1, 8, 64]
  draws: 20
"""


def write_sweep(prepared, folder, **changes):
    values = {"title": "Tiny", "output": folder / "out", "tiny": prepared.folder, "root": ROOT, **changes}
    path = folder / "sweep.yaml"
    path.write_text(SWEEP.format(**values))
    return path


def done(folder):
    """What is done, and when it was."""
    return {path.name: path.stat().st_mtime_ns for path in (folder / "out" / "cells").glob("*.json")}


@pytest.fixture(scope="module")
def sweep(prepared, tmp_path_factory):
    """A whole sweep, killed once and stopped once on its way."""
    folder = tmp_path_factory.mktemp("sweep")
    config = write_sweep(prepared, folder, title=HOSTILE)
    first = stop_in_second_run(config, signal.SIGKILL)
    kept = done(folder)
    assert first == -signal.SIGKILL and len(kept) == 1, kept
    assert stop_in_second_run(config, signal.SIGTERM) == 75
    assert kept.items() <= done(folder).items() and len(done(folder)) >= 2, "a run that was done was done again"
    kept = done(folder)
    result = run("scale", config)
    assert result.code == 0, result.err
    assert kept.items() <= done(folder).items() and len(done(folder)) == 8, sorted(done(folder))
    return folder, config, result


def stop_in_second_run(config, how):
    """Sends `how` when a run is done and the next has begun, as the log says. Returns the exit code."""
    process = subprocess.Popen([BREAKEVEN, "scale", config], stderr=subprocess.PIPE, text=True, env=environment(), cwd=ROOT)
    begun = 0
    for line in process.stderr:
        begun += line.startswith("step_")
        if begun == 2:
            process.send_signal(how)
            break
    process.stderr.read()
    return process.wait(timeout=60)


def test_a_killed_sweep_goes_on_and_reports(sweep):
    folder, _, result = sweep
    assert "MEASURED" in result.out and "PREDICTED, nothing of it measured" in result.out
    report = json.loads((folder / "out" / "scaling.json").read_text())
    rows = {row["name"]: row for row in report["rows"]}
    assert len(rows) == 4 and all(row["num_repeats"] == 2 for row in rows.values())
    one, two = rows["tiny_strong_n1_one_rank_float32_node"], rows["tiny_strong_n2_mpi_float32_node"]
    assert one["efficiency"] == 1 and 0 < two["efficiency"]
    assert two["speed_up"] == pytest.approx(2 * two["efficiency"])
    assert two["efficiency_interval"]["low"] <= two["efficiency"] <= two["efficiency_interval"]["high"]
    assert two["price_per_million_tokens"] == pytest.approx(2 * two["rank_hours_per_million_tokens"])
    assert one["tokens_per_step"] == two["tokens_per_step"], "strong scaling keeps the global batch"
    weak = rows["tiny_weak_n2_mpi_float32_node"]["tokens_per_step"] / rows["tiny_weak_n1_one_rank_float32_node"]["tokens_per_step"]
    assert 1 < weak < 3, "weak scaling gives every rank its batch"
    assert {f["cluster"] for f in report["forecasts"]} == {"gpus", "here"}
    error = report["fit"]["error_of_forecasts"]
    assert error == {"left_out": "cell", "median_error": report["fit"]["leave_one_cell_out"]["median_error"]}, "two numbers of ranks are too few"
    facts = {(fact["group"], fact["name"]): fact["value"] for fact in report["provenance"]}
    version = run("--version").out.strip()
    assert facts["report", "program"] == facts["measured", "program"] == version
    assert facts["machine", "hosts"] == socket.gethostname() and facts["report", "written"].endswith(" on " + socket.gethostname())
    assert facts["machine", "CPU"] == json.loads(next((folder / "out" / "cells").glob("step_*.json")).read_text())["cpu"] != ""
    first, last = (facts["measured", f"{which} run ended"] for which in ("first", "last"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", first) and first <= last <= facts["report", "written"]
    assert facts["model", "tiny"].endswith("/model")
    with (folder / "out" / "scaling.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [float(line["tokens_per_second"]) for line in table] == pytest.approx([row["tokens_per_second"] for row in report["rows"]])
    assert (folder / "out" / "forecast.csv").read_text().count("\n") == 1 + 2 * 3


@pytest.mark.parametrize("size, scheme", [(DESK, "light"), (PHONE, "dark")], ids=["desk", "phone"])
def test_its_page_opens_whole(sweep, browser, size, scheme):
    # Speed-up, efficiency, parts of a step, prediction, and one forecast on each cluster.
    opens_whole(browser, sweep[0] / "out" / "report.html", size, scheme, num_plots=6)


def test_its_page_has_the_figures_in_tables(sweep, browser):
    report = json.loads((sweep[0] / "out" / "scaling.json").read_text())
    open_page(browser, sweep[0] / "out" / "report.html")
    text = browser.execute_script("return document.body.textContent")
    for title in ("Speed-up and efficiency", "Where a step goes", "Prediction against measurement", "Predicted: ", "Provenance"):
        assert title in text, title
    assert HOSTILE in text and report["sentence"] in text
    for row in report["rows"]:
        assert row["name"] in text and f"{100 * row['efficiency']:.1f}" in text


def test_another_config_does_not_reuse_the_runs(sweep):
    folder, config, _ = sweep
    before = done(folder)
    result = run("scale", config, "--set", "steps=3")
    assert result.code == 64 and "is done, with another config" in result.err, result.err
    assert done(folder) == before


def test_a_failed_run_is_reported_and_the_others_are_done(prepared, tmp_path):
    config = write_sweep(prepared, tmp_path)
    result = run("scale", config, "--set", "models.gone.path=no/such/folder", "--set", "scaling=[strong]",
                 "--set", "world_sizes=[1]", "--set", "repeats=1", "--json")
    assert result.code == 0, result.err
    report = result.json()
    name = "step_gone_strong_n1_one_rank_float32_node_r1"
    assert list(report["failures"]) == [name] and "no/such/folder" in report["failures"][name], report["failures"]
    assert {row["model"]: (row["num_repeats"], row["num_failed"]) for row in report["rows"]} == {"gone": (0, 1), "tiny": (1, 0)}


def cell_with(config, mpirun, *more):
    """The first run alone, with another program in the place of mpirun."""
    return run("scale", config, "--cell", 0, "--set", f"mpirun={mpirun}", *more)


@pytest.mark.parametrize("ended, code", [(64, 64), (65, 65), (70, 70), (73, 73), (74, 74), (75, 75), (76, 76), (78, 78),
                                         (1, 76), (127, 76), (137, 76)])
def test_an_element_ends_with_its_runs_exit_code(prepared, tmp_path, ended, code):
    """A batch system tells by it what to begin again: never what would fail the same."""
    config = write_sweep(prepared, tmp_path)
    result = cell_with(config, f"[bash, -c, exit {ended}]")
    assert result.code == code, result.err
    (failed,) = (tmp_path / "out" / "cells").glob("*.failed")
    assert failed.stem in result.err and not done(tmp_path)
    assert failed.read_text().startswith("could not be started" if ended == 127 else f"exit code {ended}")


def test_an_element_that_prints_no_measurement_is_bad_data(prepared, tmp_path):
    result = cell_with(write_sweep(prepared, tmp_path), "[bash, -c, echo none]")
    assert result.code == 65, result.err


def test_an_element_that_takes_too_long_was_not_saved_for_a_requeue(prepared, tmp_path):
    """Told to end, it says 75, which would begin it again and again."""
    program = tmp_path / "slow"
    program.write_text("#!/bin/bash\ntrap 'kill $!; exit 75' TERM\nsleep 60 &\nwait\n")
    result = cell_with(write_sweep(prepared, tmp_path), f"[bash, {program}]", "--set", "cell_timeout_seconds=1")
    assert result.code == 76, result.err
    assert "took longer than cell_timeout_seconds: 1" in result.err


def test_what_is_learned_from_the_same_tokens_and_the_collectives_are_measured(prepared, tmp_path):
    config = write_sweep(prepared, tmp_path)
    result = run("scale", config, "--set", "scaling=[weak]", "--set", "repeats=1", "--set", "all_reduce=true", "--set", "quality_epochs=0.5",
                 "--set", f"train.validation.data={prepared.folder}/tokens/dev.h5", "--set", "precisions=[float32,bfloat16]",
                 "--set", f"train.prompt_eval.task={prepared.folder}/task.yaml", "--set", f"train.prompt_eval.prompts={prepared.folder}/variants.yaml",
                 "--set", "train.prompt_eval.split=dev", "--json")
    assert result.code == 0 and result.json()["failures"] == {}, result.err
    report = result.json()
    one, two = (row for row in report["rows"] if row["precision"] == "float32")
    assert abs(one["learned"]["tokens"] / two["learned"]["tokens"] - 1) < 0.1, "equal tokens"
    assert one["learned"]["steps"] == 2 * two["learned"]["steps"], "twice the batch, half the steps"
    assert 0 < one["learned"]["validation_loss"] != two["learned"]["validation_loss"] > 0
    scores = [f"colours {variant} dev {metric}" for variant in ("asked", "plain", "shots") for metric in ("acc", "acc_norm")]
    assert all(sorted(row["learned"]["scores"]) == scores for row in report["rows"])
    assert len({row["learned"]["validation_loss"] for row in report["rows"]}) == 4, "each precision learns by itself"
    with (tmp_path / "out" / "scaling.csv").open(newline="") as file:
        for line, row in zip(csv.DictReader(file), report["rows"], strict=True):
            assert {name: float(line["score " + name]) for name in scores} == pytest.approx(row["learned"]["scores"])
    assert one["checkpoint_seconds"] > 0 and one["bus_bytes_per_second"] is None and two["bus_bytes_per_second"] > 0
    assert len(report["collectives"]) == 7 and all(c["correct"] for c in report["collectives"])
    law = report["fit"]["exchange"]["mpi on node"]
    assert law["num_collectives"] == 7 and law["beta_seconds_per_byte"] > 0, law


def test_auto_has_the_figures_of_the_back_end_that_it_was(prepared, tmp_path):
    config = write_sweep(prepared, tmp_path)
    result = run("scale", config, "--set", "scaling=[weak]", "--set", "repeats=1", "--set", "all_reduce=true", "--set", "backends=[auto,mpi]",
                 "--set", "forecast.clusters.net.measured_exchange=mpi on node", "--set", "forecast.clusters.net.ranks_per_node=2",
                 "--set", "forecast.clusters.gone.measured_exchange=nccl on node", "--set", "forecast.world_sizes=[1,2,8]", "--json")
    assert result.code == 0 and result.json()["failures"] == {}, result.err
    report = result.json()
    one, auto, mpi = report["rows"]
    assert (one["backend_used"], auto["backend_used"], mpi["backend_used"]) == ("one_rank", "shared_memory", "mpi")
    bus = {c["backend"]: c["bus_bytes_per_second"] for c in report["collectives"] if c["bytes"] == 1 << 24}
    assert (auto["bus_bytes_per_second"], mpi["bus_bytes_per_second"]) == (bus["shared_memory"], bus["mpi"])
    laws = report["fit"]["exchange"]
    assert {name: law["num_collectives"] for name, law in laws.items()} == {"shared_memory on node": 7, "mpi on node": 7}
    net = next(f for f in report["forecasts"] if f["cluster"] == "net")
    assert net["exchange"] == "in a node measured here, between nodes not known (mpi on node)"
    assert net["not_known"] == [8]
    missing = {"workload": "tiny", "cluster": "gone", "why": '"nccl on node" was not measured'}
    assert report["missing_forecasts"] == [missing] and any("Not forecast: tiny on gone" in detail for detail in report["details"])
    assert [point["world_size"] for point in net["points"]] == [1, 2] and net["points"][1]["exposed_communication_seconds"] > 0


def test_array_jobs_hold_what_is_not_done(prepared, tmp_path):
    config = write_sweep(prepared, tmp_path)
    more = ["--set", "launcher=slurm", "--set", "slurm.options=[--partition=p]", "--set", "scaling=[strong]"]
    result = run("scale", config, *more)
    assert result.code == 0 and "4 array jobs are written" in result.out and "submit.sh" in result.out, result.err
    slurm = tmp_path / "out" / "slurm"
    arrays = {path.name: re.search(r"--array=(\S+)", path.read_text())[1] for path in slurm.glob("t*.sh")}
    assert arrays == {"t1_n1_node.sh": "0%1", "t1_n2_node.sh": "1%1", "t2_n2_node.sh": "2%1", "t2_n1_node.sh": "3%1"}
    script = (slurm / "t2_n1_node.sh").read_text()
    # An element as Slurm would start it, below a launcher whose variables mpirun must not see.
    element = script.replace("#!/bin/bash\n", "", 1)
    done_one = subprocess.run(["bash", "-c", element], env={**environment(), "SLURM_ARRAY_TASK_ID": "3",
                              "OMPI_COMM_WORLD_SIZE": "1", "OMPI_COMM_WORLD_RANK": "0", "PMIX_RANK": "0"},
                              capture_output=True, text=True, timeout=60)
    assert done_one.returncode == 0, done_one.stderr
    assert list(done(tmp_path)) == ["step_tiny_strong_n1_one_rank_float32_node_r2.json"]
    assert "3 array jobs are written" in run("scale", config, *more).out
    beyond = run("scale", config, *more, "--cell", 4)
    assert beyond.code == 64 and "counted from 0" in beyond.err, beyond.err


def test_array_jobs_take_turns_and_ask_for_what_they_need(prepared, tmp_path):
    config = write_sweep(prepared, tmp_path)
    more = ["launcher=slurm", "scaling=[strong]", "all_reduce=true", "train.device=cuda", "backends=[nccl]", "networks.two.ranks_per_node=1",
            "cluster.site.partition=p", "cluster.site.modules=[gcc]", "cluster.site.environment.FABRIC=it's", "cluster.time_minutes=90",
            "slurm.options=[--exclusive]"]
    result = run("scale", config, *(word for setting in more for word in ("--set", setting)))
    assert result.code == 0, result.err
    slurm, log = tmp_path / "out" / "slurm", tmp_path / "calls"
    (tmp_path / "bin").mkdir()
    stub = tmp_path / "bin" / "sbatch"
    stub.write_text(f'#!/bin/bash\necho "$*" >>{log}\necho "$(wc -l <{log});cluster"\n')
    stub.chmod(0o755)
    subprocess.run(["bash", slurm / "submit.sh"], check=True, env={**environment(), "PATH": f"{stub.parent}:{environment()['PATH']}"})
    names = ["t0_n2_two", "t1_n1_two", "t1_n2_two", "t2_n2_two", "t2_n1_two"]
    assert log.read_text().splitlines() == [
        f"--parsable {f'--dependency=afterany:{i} ' if i else ''}{slurm}/{name}.sh" for i, name in enumerate(names)]
    script = (slurm / "t1_n2_two.sh").read_text()
    for option in ("nodes=2", "ntasks=2", "ntasks-per-node=1", "cpus-per-task=1", "gpus-per-node=1", "time=1:30:00", "signal=B:USR1@120",
                   "requeue", "partition=p", "exclusive"):
        assert f"#SBATCH --{option}\n" in script, option
    assert "module load gcc || exit 78\n" in script and "|| export FABRIC='it'\\''s'\n" in script
    subprocess.run(["shellcheck", *slurm.glob("*.sh")], check=True)
    refused = run("scale", config, *(word for setting in [*more, "cluster.site.prefix=[apptainer]"] for word in ("--set", setting)))
    assert refused.code == 64 and "cluster.site.prefix" in refused.err, refused.err


def test_cpus_are_those_of_the_nodes_that_ran(sweep, tmp_path):
    """A report of array jobs is made on a login node, which has other CPUs."""
    folder = tmp_path / "copy"
    shutil.copytree(sweep[0] / "out", folder)
    for path in (folder / "cells").glob("step_*.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), "cpus_per_node": 96}))
    report = run("scale", sweep[1], "--set", f"output={folder}", "--json").json()
    assert report["cores"] == 96 and not any(cell["oversubscribed"] for cell in report["fit"]["cells"])


def test_an_array_jobs_node_is_not_what_its_elements_had(sweep, tmp_path):
    """An element has as many CPUs as its ranks; a forecast with a node full of ranks is not of ranks that take turns on those."""
    folder = tmp_path / "copy"
    shutil.copytree(sweep[0] / "out", folder)

    def report(threads, *more):
        for path in (folder / "cells").glob("step_*.json"):
            step = json.loads(path.read_text())
            step.update(cpus_per_node=step["world_size"] * threads, cpus_of_machine=64, threads_per_rank=threads)
            path.write_text(json.dumps(step))
        settings = ("launcher=slurm", f"output={folder}", "forecast.world_sizes=[1,64]", "forecast.clusters.here.ranks_per_node=64", *more)
        return run("scale", sweep[1], *(word for setting in settings for word in ("--set", setting)), "--json").json()

    def slower(made):
        one, full = next(f for f in made["forecasts"] if f["cluster"] == "here")["points"]
        return (full["step_seconds"] - full["exposed_communication_seconds"]) / one["step_seconds"] / (1 + made["fit"]["contention"])

    made = report(1)
    assert made["cores"] == 64 and slower(made) < 1.3, "64 ranks on 64 CPUs take no turns"
    assert report(1, "cluster.site.cores_per_node=48")["cores"] == 48, "the site's word is before the machine's"
    assert slower(report(32)) > 31, "two ranks of 32 threads run at once"


def test_simulation_agrees_with_the_closed_form(tmp_path):
    result = run("scale", ROOT / "configs" / "scale_forecast.yaml", "--simulate", "--json", "--set", f"output={tmp_path}/out",
                 "--set", "forecast.world_sizes=[8,4096]", "--set", "forecast.draws=20")
    assert result.code == 0, result.err
    points = result.json()["simulated"]
    assert "in part by construction" in result.json()["details"][-1], "what the agreement shows, and what not"
    assert len(points) == 2 * 3 * 5
    for point in points:
        assert point["simulated_seconds"] == pytest.approx(point["closed_form_seconds"], rel=1e-9), point
    assert not (tmp_path / "out").exists(), "a simulation leaves nothing behind"


def test_published_figures_stand_beside_the_forecast():
    result = run("scale", ROOT / "configs" / "scale_forecast.yaml", "--simulate", "--json", "--set", "forecast.world_sizes=[8]")
    published = result.json()["published"]
    llama = [p for p in published if p["relative_to"] == 8]
    assert len(llama) == 2
    for point in llama:
        assert abs(point["efficiency"] - point["published_efficiency"]) < 0.02, point
