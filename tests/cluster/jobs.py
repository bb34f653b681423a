"""Jobs on a lab: submitting, waiting, and finding their ranks from outside."""

import pathlib
import re
import subprocess

from program import BUILD, ROOT, until
from training_runs import STEPS

TEMPLATES = ROOT / "cluster" / "slurm"
SIZE = ["--nodes=2", "--ntasks-per-node=2", "--cpus-per-task=1", "--time=30"]


class Slurm:
    """A lab and a folder for the outputs of its jobs."""

    def __init__(self, lab, folder):
        self.lab = lab
        self.folder = folder

    def client(self, *words, env=None):
        done = self.lab.client(*words, env=env, cwd=ROOT)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def environment(self, program=None, **variables):
        return {"BREAKEVEN_ROOT": str(ROOT), "BREAKEVEN_PROGRAM": str(program or BUILD / "breakeven"),
                "BREAKEVEN_LOGS": str(self.folder / "logs"), **variables}  # fmt: skip

    def sbatch(self, *words, env=None, size=SIZE):
        return self.client("sbatch", "--parsable", *size, f"--output={self.folder}/%j.out", *words, env=env or self.environment())

    def state(self, job):
        """Of scontrol: JobState, Reason, ExitCode, Restarts."""
        return dict(re.findall(r"(JobState|Reason|ExitCode|Restarts)=(\S+)", self.client("scontrol", "show", "job", job)))

    def text(self, job):
        """What the batch script said, all restarts one behind the other."""
        path = self.folder / f"{job}.out"
        return path.read_text() if path.exists() else ""

    def wait(self, job, *states, seconds=90):
        """Until the job has ended; its state, with all that is known in the failure's message."""
        ended = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL")
        until(f"job {job} to end: {self.text(job)}", lambda: self.state(job)["JobState"] in ended, seconds)
        state = self.state(job)
        assert state["JobState"] in (states or ("COMPLETED",)), f"{state}\n{self.text(job)}\n{self.logs(job)}"
        return state

    def attempts(self, job):
        return sorted((self.folder / "logs").glob(f"*-{job}.r*.log"))

    def logs(self, job):
        return "".join(f"--- {path.name}\n{path.read_text()}" for path in self.attempts(job))


def settings(output, *more):
    """What a fault at step 5 finds is the same each time: the checkpoint of step 3 is complete before step 4 begins."""
    words = [f"output={output}", f"max_steps={STEPS}", "checkpoint.every_steps=3", "checkpoint.asynchronous=false", *more]
    return [part for word in words for part in ("--set", word)]


def faulty_once(folder, fault="train.step@5:0=stop"):
    """A program that has a fault in training until a checkpoint is in folder/run: in its first start, if that saves."""
    path = folder / "faulty_once"
    path.write_text(
        f"#!/bin/bash\n[ $1 != train ] || [ -e {folder}/run/checkpoints/latest ] || export BREAKEVEN_FAULT={fault}\n"
        f'exec {BUILD}/breakeven_faulty "$@"\n')
    path.chmod(0o755)
    return path


def stopped_rank(word):
    """The process of a training with this word in its command that has stopped itself; None while none has."""
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            state = (entry / "stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            continue
        if state == "T" and word.encode() in words:
            return int(entry.name)
    return None


def is_pending(pid, signal):
    """Sent to a stopped process, and not yet delivered."""
    masks = re.findall(r"^S[ih][gd]Pnd:\s*(\w+)", pathlib.Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return any(int(mask, 16) >> (signal - 1) & 1 for mask in masks)


def has_program(name):
    return subprocess.run(["which", name], capture_output=True).returncode == 0
