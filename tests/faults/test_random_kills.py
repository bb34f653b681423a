"""kill -9 at random moments of a run that saves all the time: nothing that was called saved is ever gone, and the end is that of an
undisturbed run, to the bit."""

import collections
import os
import random
import signal
import subprocess
import time

import pytest
from program import BREAKEVEN, FULL, ROOT, environment, mpirun, run
from training_runs import acknowledged, resumed_step, trained_bytes

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


def start_and_kill(config, output, settings, chance, longest):
    """Lets two ranks save once, waits up to `longest` seconds and kills one. What they had said; all processes are gone."""
    command = [*mpirun(2), BREAKEVEN, *train(config, output, *settings, "max_steps=1000000")]
    process = subprocess.Popen([str(w) for w in command], cwd=ROOT, env=environment(), stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)  # fmt: skip
    said = ""
    for line in process.stderr:
        said += line
        if "saved checkpoints/" in line:
            break
    else:
        raise AssertionError(said)
    time.sleep(chance.uniform(0, longest))
    os.kill(chance.choice(ranks_of(process.pid)), signal.SIGKILL)
    said += process.stderr.read()
    process.wait(timeout=60)
    return said


def train(config, output, *settings):
    return ["train", config, *[word for setting in (f"output={output}", *settings) for word in ("--set", setting)]]


def kill_and_end(config, folder, kills, longest):
    """Where the kills fell, as counts. The run then goes on to its end, which is that of one that nobody disturbed."""
    output, chance = folder / "run", random.Random(3)
    phases, saved = collections.Counter(), 0
    for number in range(kills):
        said = start_and_kill(config, output, SETTINGS, chance, longest)
        assert resumed_step(said) >= saved, (number, saved, said)
        saved = max(saved, acknowledged(said))
        phases[phase_of(output / "checkpoints")] += 1
    print(f"\n{kills} kills, {kills - phases['']} inside a save: {dict(phases)}; steps saved: {saved}")
    total = saved + 2
    for path, settings in ((output, SETTINGS), (folder / "whole", [*SETTINGS, "checkpoint.every_steps=0"])):
        ended = run(*train(config, path, *settings, f"max_steps={total}"), ranks=2, timeout=1200)
        assert ended.code == 0, ended.err
    assert trained_bytes(output, total) == trained_bytes(folder / "whole", total)
    return phases


@pytest.mark.fault(3)
def test_killed_at_random(prepared, tmp_path):
    kills = 200 if FULL else 10
    phases = kill_and_end(prepared.train, tmp_path, kills, longest=0.1)
    assert phases.total() - phases[""] >= kills / 4, phases
    if FULL:
        assert phases.total() - phases[""] >= 100 and len(phases) >= 5, phases


REAL = """
model: {{path: {model}}}
data: {folder}/tokens/train.h5
batching: {{global_batch: {{examples: 2}}, micro_batch_tokens: 128}}
optimizer: {{learning_rate: 1e-5}}
schedule: {{kind: constant}}
precision: float32
threads: 1
"""


@pytest.mark.full
@pytest.mark.fault(3)
def test_killed_at_random_with_the_real_state(tiny, tmp_path):
    """1.6 GB: weights and moments of SmolLM2-135M."""
    model = ROOT / "models" / "SmolLM2-135M-Instruct"
    if not model.exists():
        pytest.skip("models/SmolLM2-135M-Instruct is not fetched")
    text = tiny.prepare.read_text().replace(f"tokenizer: {tiny / 'scratch'}", f"tokenizer: {model}")
    assert (done := run("prepare", tiny.write("real_prepare.yaml", text))).code == 0, done.err
    config = tiny.write("real_train.yaml", REAL.format(model=model, folder=tiny.folder))
    phases = kill_and_end(config, tmp_path, kills=20, longest=4)
    assert phases.total() - phases[""] >= 10, phases
