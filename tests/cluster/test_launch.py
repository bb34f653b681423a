"""breakeven launch: on the lab by sbatch, here by mpirun, and what it prints and refuses."""

import json
import subprocess

import pytest
from jobs import SIZE, Slurm, has_program, settings
from program import BREAKEVEN, ROOT, run, until
from training_runs import STEPS, trained_bytes


def nodes(lab_or_folder, *more):
    words = ["cluster.nodes=2", "cluster.ranks_per_node=2", f"cluster.site={lab_or_folder}/site.yaml", *more]
    return [part for word in words for part in ("--set", word)]


def test_a_launched_training_and_its_eval_run_on_two_nodes(lab, own):
    """Submitted from the login host; the numbers are those of the template."""
    slurm = Slurm(lab, own.folder)
    then = own.write("then.yaml", own.eval.read_text().replace(str(own / "model"), f"{own / 'run'}/checkpoints/step_{STEPS:06d}"))
    words = [BREAKEVEN, "launch", own.train, "--slurm", "--json",
             *nodes(lab.folder, f"cluster.then={then}", "cluster.stage_data=true", "cluster.cpus_per_rank=1", "cluster.time_minutes=30"),
             *settings(own / "run")]  # fmt: skip
    done = lab.client(*words, cwd=own.folder)
    assert done.returncode == 0, done.stderr
    train, evaluation = json.loads(done.stdout)
    until("the eval to have ended", lambda: slurm.state(evaluation["job"])["JobState"] == "COMPLETED")
    assert slurm.state(train["job"])["JobState"] == "COMPLETED"
    logs = own / "run.logs"
    assert sorted(path.name for path in logs.iterdir()) == [
        f"train-{train['job']}.out", f"train-{train['job']}.r0.a1.log", "train.sbatch"], sorted(logs.iterdir())  # fmt: skip
    assert (own / "eval" / "summary.json").exists()
    said = (logs / f"train-{train['job']}.out").read_text()
    assert "OMPI_MCA_mpi_yield_when_idle=1 (environment)" in said and "BREAKEVEN_STAGE=/tmp (cluster)" in said, said
    assert said.count("BREAKEVEN_STAGE=") == 1 and "staged data: /tmp/breakeven-" in said, said
    reference = slurm.sbatch(*SIZE, ROOT / "cluster/slurm/cpu.sbatch", "train", own.train, *settings(own / "again"))
    slurm.wait(reference)
    assert trained_bytes(own / "run") == trained_bytes(own / "again")


def test_what_sbatch_refuses_is_an_error_of_the_user(lab, own):
    done = lab.client(BREAKEVEN, "launch", own.train, "--slurm",
                      *nodes(lab.folder, "cluster.site.partition=nowhere", "cluster.cpus_per_rank=1"), cwd=own.folder)  # fmt: skip
    assert done.returncode == 64, done.stderr
    assert "invalid partition" in done.stderr and "sbatch refused the job" in done.stderr


def launch(own, *words, **options):
    return run("launch", own.train, *words, cwd=own.folder, **options)


def test_without_slurm_the_script_is_shown_and_not_submitted(own):
    shown = launch(own, "--slurm", "--dry-run", env={"PATH": "/nowhere"})
    assert shown.code == 0, shown.err
    assert shown.out.startswith("#!/bin/bash\n") and not (own / "run.logs").exists()
    submitted = launch(own, "--slurm", env={"PATH": "/nowhere"})
    assert submitted.code == 78 and "sbatch is not found" in submitted.err, submitted.err


def test_the_script_is_clean_shell(own):
    if not has_program("shellcheck"):
        pytest.skip("shellcheck is not installed")
    sweep = "cluster.sweep=[{set: [seed=1, output=a]}, {set: [\"seed=2\", \"output=b c\"]}]"
    script = launch(own, "--slurm", "--dry-run", "--set", sweep, "--set", "cluster.site.modules=[gcc/12, \"a b\"]")
    assert script.code == 0, script.err
    done = subprocess.run(["shellcheck", "--shell=bash", "-"], input=script.out, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_users_environment_wins_and_is_named(own):
    site = own.write("site.yaml", "name: big\nenvironment: {NCCL_DEBUG: WARN, FI_PROVIDER: efa}\n")
    shown = launch(own, "--slurm", "--dry-run", "--set", f"cluster.site={site}", env={"NCCL_DEBUG": "INFO"})
    assert shown.code == 0, shown.err
    lines = [" ".join(line.split()) for line in shown.err.splitlines()]
    assert "NCCL_DEBUG=INFO environment, over site big's WARN" in lines, shown.err
    assert "FI_PROVIDER=efa site big" in lines, shown.err


def test_mpirun_runs_here_and_hands_its_code_on(own):
    options = ["--set", "cluster.ranks_per_node=2", "--set", "cluster.site.mpirun_options=--bind-to none --oversubscribe"]
    command = launch(own, "--mpirun", "--dry-run", *options)
    assert command.code == 0 and " -n 2 --bind-to none --oversubscribe " in command.out, command.err
    done = launch(own, "--mpirun", *options)
    assert done.code == 0, done.err
    assert "trained 6 steps" in done.out, done.err
    broken = launch(own, "--mpirun", *options, "--set", f"data={own / 'task.yaml'}")
    assert broken.code == 65, broken.err


def test_under_a_launcher_it_refuses(own):
    result = launch(own, "--mpirun", "--dry-run", ranks=2)
    assert result.code == 64, result.err
    assert "Start it without mpirun or srun" in result.err


@pytest.mark.parametrize("words, part", [
    ([], "by what?"),
    (["--slurm", "--mpirun"], "--slurm excludes --mpirun"),
    (["--mpirun", "--set", "cluster.nodes=2", "--set", "cluster.site.shared_paths=[/]"], "cluster.hostfile: empty"),
    (["--slurm", "--set", "cluster.noodes=2"], "Did you mean 'nodes'?"),
])  # fmt: skip
def test_wrong_words_are_errors_with_a_remedy(own, words, part):
    result = launch(own, *words)
    assert result.code == 64, result.err
    assert part.lower() in result.err.lower(), result.err


def test_the_section_is_checked_and_changes_nothing_elsewhere(own):
    text = own.train.read_text()
    own.train.write_text(text + "cluster: {nodes: 3, time_minutes: 7}\n")
    printed = run("train", own.train, "--print-config")
    assert printed.code == 0 and "time_minutes: 7" in printed.out, printed.err
    own.write("printed.yaml", printed.out)
    assert run("train", own / "printed.yaml", "--print-config").out == printed.out
    assert run("train", own.train, "--dry-run", cwd=own.folder).code == 0
    own.train.write_text(text + "cluster: {node: 3}\n")
    wrong = run("train", own.train, "--dry-run", cwd=own.folder)
    assert wrong.code == 64 and "Did you mean 'nodes'?" in wrong.err, wrong.err
