"""Training runs of two ranks that something happens to: starting them, what they left, and that they end as an undisturbed one."""

import json
import os
import pathlib
import re
import signal
import subprocess
import time

from program import FAULTY, ROOT, environment, mpirun, run

STEPS = 12


def arguments(tiny, output, *settings):
    all_settings = [f"output={output}", f"max_steps={STEPS}", "checkpoint.every_steps=3", *settings]
    return ["train", tiny.train, *[part for setting in all_settings for part in ("--set", setting)]]


def train(tiny, output, *settings, ranks=2, fault=None, **options):
    env = {**options.pop("env", {}), **({"BREAKEVEN_FAULT": fault} if fault else {})}
    program = FAULTY if fault else None
    return run(*arguments(tiny, output, *settings), ranks=ranks, env=env, program=program, **options)


def checkpoints(output):
    folder = output / "checkpoints"
    return sorted(p.name for p in folder.iterdir() if p.is_dir()) if folder.is_dir() else []


def trained_bytes(output, step=STEPS):
    """Weights and moments, in as many files as ranks have written."""
    folder = output / "checkpoints" / f"step_{step:06d}"
    moments = sorted(folder.glob("trainer_state/optimizer*.safetensors"))
    assert moments, f"no moments in {folder}"
    return [path.read_bytes() for path in (folder / "model.safetensors", *moments)]


def losses(output):
    lines = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if line["event"] == "step"]


def acknowledged(err):
    """The newest step whose checkpoint the run has called saved."""
    return max((int(step) for step in re.findall(r"saved checkpoints/step_(\d+)", err)), default=0)


def resumed_step(err):
    """Where a run has gone on from; 0: from the beginning."""
    found = re.search(r"going on from .*/checkpoints/step_(\d+) at step", err)
    return int(found.group(1)) if found else 0


def expect_the_same_end(output, whole):
    assert trained_bytes(output) == trained_bytes(whole)
    assert losses(output) == losses(whole)
    leftovers = [p.name for p in (output / "checkpoints").iterdir() if p.name.endswith(".tmp")]
    assert leftovers == []


class Job:
    """A running job, one of whose ranks has stopped itself (SIGSTOP): a training before step 5 unless said otherwise."""

    def __init__(self, tiny, output, *settings, ranks=2, command=None, words=None, fault="train.step@5:0=stop", env=None):
        env = {**environment(), "BREAKEVEN_FAULT": fault, **(env or {})}
        words = words or [*mpirun(ranks), FAULTY, *(command or arguments(tiny, output, *settings))]
        self.process = subprocess.Popen(
            [str(part) for part in words], cwd=ROOT, env=env, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.stopped = self._wait_for_stopped_rank()

    def _children(self):
        for entry in pathlib.Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    text = (entry / "stat").read_text()
                except OSError:
                    continue
                state, parent = text.rsplit(")", 1)[1].split()[:2]
                if int(parent) == self.process.pid:
                    yield int(entry.name), state

    def ranks(self):
        return [pid for pid, _ in self._children()]

    def _wait_for_stopped_rank(self):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            for pid, state in self._children():
                if state == "T":
                    return pid
            assert self.process.poll() is None, self.process.communicate()[1]
            time.sleep(0.02)
        raise AssertionError("no rank reached its fault point")

    def finish(self):
        os.kill(self.stopped, signal.SIGCONT)
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, err
