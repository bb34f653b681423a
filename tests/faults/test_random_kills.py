"""kill -9 at random moments of a run that saves all the time: nothing that was called saved is ever gone, and the end is that of an
undisturbed run, to the bit."""

import collections
import os
import random
import signal
import subprocess
import time

import pytest
from conftest import FULL, ROOT, environment, mpirun, run
from training_runs import FAULTY, acknowledged, arguments, resumed_step, trained_bytes

KILLS = 200 if FULL else 10
SETTINGS = ["checkpoint.every_steps=1", "checkpoint.keep_last=2", "log_every_steps=1000", "preflight.probe_seconds=0"]


def phase_of(folder):
    """How far a save had come, by what is on disk when all ranks are dead; "" when none was under way."""
    latest = (folder / "latest").read_text().strip() if (folder / "latest").exists() else ""
    names = sorted(path.name for path in folder.iterdir())
    whole = [name for name in names if name.startswith("step_") and "." not in name]
    unfinished = [name for name in names if name.endswith(".tmp") and name != "latest.tmp"]
    if whole and whole[-1] > latest:
        return "renamed, before latest"
    for name in unfinished:
        if name < (whole[-1] if whole else ""):
            return "deleting an old one"
        files = {path.name for path in (folder / name).rglob("*") if path.is_file()}
        if "manifest.json" in files:
            return "manifest written"
        if "state.json" in files:
            return "before the manifest"
        if any(file.startswith("optimizer") and file.endswith(".safetensors") for file in files):
            return "a part written"
        return "weights written" if "model.safetensors" in files else "begun"
    return ""


def ranks_of(parent):
    with open(f"/proc/{parent}/task/{parent}/children", encoding="ascii") as file:
        return [int(pid) for pid in file.read().split()]


def start_and_kill(prepared, output, chance, ranks):
    """Lets the run go on for a moment and kills a rank of it. What it had said; all its processes are gone."""
    command = [*mpirun(ranks), FAULTY, *arguments(prepared, output, *SETTINGS, "max_steps=1000000")]
    process = subprocess.Popen([str(w) for w in command], cwd=ROOT, env=environment(), stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)  # fmt: skip
    said = ""
    for line in process.stderr:
        said += line
        if "saved checkpoints/" in line:
            break
    else:
        raise AssertionError(said)
    time.sleep(chance.uniform(0, 0.1))
    os.kill(chance.choice(ranks_of(process.pid)), signal.SIGKILL)
    said += process.stderr.read()
    process.wait(timeout=60)
    return said


@pytest.mark.fault(3)
def test_killed_at_random(prepared, tmp_path):
    output, chance = tmp_path / "run", random.Random(3)
    phases, saved = collections.Counter(), 0
    for number in range(KILLS):
        said = start_and_kill(prepared, output, chance, ranks=2)
        assert resumed_step(said) >= saved, (number, saved, said)
        saved = max(saved, acknowledged(said))
        phases[phase_of(output / "checkpoints")] += 1
    inside = KILLS - phases[""]
    print(f"\n{KILLS} kills, {inside} inside a save: {dict(phases)}; steps saved: {saved}")
    total = saved + 5
    for folder, settings in ((output, SETTINGS), (tmp_path / "whole", [*SETTINGS, "checkpoint.every_steps=0"])):
        ended = run(*arguments(prepared, folder, *settings, f"max_steps={total}"), ranks=2)
        assert ended.code == 0, ended.err
    assert trained_bytes(output, total) == trained_bytes(tmp_path / "whole", total)
    assert inside >= KILLS / 4, phases
    if FULL:
        assert inside >= 100 and len(phases) >= 5, phases
