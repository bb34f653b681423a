"""The program from outside: starting it, alone or as ranks, and what it said."""

import dataclasses
import json
import os
import pathlib
import re
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / os.environ.get("BREAKEVEN_BUILD", "build/release")
BREAKEVEN = BUILD / "breakeven"
FAULTY = BUILD / "breakeven_faulty"
FULL = bool(os.environ.get("BREAKEVEN_FULL"))  # long forms are asked for


@dataclasses.dataclass
class Result:
    code: int
    out: str
    err: str

    def messages(self):
        """What the program said went wrong, one entry a message: 'error: usage: …'."""
        return re.findall(r"^(?:\[rank \d+\] )?error: .*$", self.err, re.MULTILINE)

    def json(self):
        return json.loads(self.out)


def until(what, condition, seconds=60):
    """The condition's first true value."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {seconds} s in vain for {what}"
        time.sleep(0.1)
    return value


def environment():
    env = {k: v for k, v in os.environ.items() if not k.startswith(("OMPI_", "PMIX_", "BREAKEVEN_FAULT"))}
    env.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    return env


def execute(command, timeout, cwd, env=None):
    done = subprocess.run(
        [part if isinstance(part, bytes) else str(part) for part in command],
        capture_output=True,
        text=True,
        timeout=timeout,
        cwd=cwd,
        env={**environment(), **(env or {})},
        stdin=subprocess.DEVNULL,
    )
    return Result(done.returncode, done.stdout, done.stderr)


def mpirun(ranks):
    return ["mpirun", "-n", ranks, "--bind-to", "none", "--oversubscribe", "--mca", "mpi_yield_when_idle", "1"]


def run(*arguments, ranks=0, timeout=120, cwd=ROOT, env=None, program=None):
    """`ranks` 0: without mpirun."""
    prefix = mpirun(ranks) if ranks else []
    return execute([*prefix, program or BREAKEVEN, *arguments], timeout, cwd, env)


def run_apart(first, second, timeout=60, cwds=(ROOT, ROOT)):
    """Two ranks with a command line and a working directory each: what a badly installed cluster looks like."""
    one = ["-n", 1, "--wdir", cwds[0], BREAKEVEN, *first]
    two = ["-n", 1, "--wdir", cwds[1], BREAKEVEN, *second]
    return execute([*mpirun(1)[:1], *mpirun(1)[3:], *one, ":", *two], timeout, ROOT)
