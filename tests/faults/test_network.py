"""Two nodes on one machine, and the network between them: cut, silent, away for a while, slow. Needs root; the long form."""

import os
import re
import subprocess
import time

import nodes
import pytest
from program import FAULTY, ROOT, environment
from training_runs import acknowledged, arguments, resumed_step, train, trained_bytes

pytestmark = pytest.mark.full
LIMIT = 6  # seconds of a step
KEEPALIVE = 5 + 3 * 2  # after which mpirun misses a daemon that it has nothing to say to
WHOLE_MOMENTS = "optimizer.shard=false"  # as by default over two nodes; what it is compared with runs on one
SLACK = 14  # reports, ends of processes, a busy machine


@pytest.fixture
def two(tmp_path):
    reason = nodes.missing()
    if reason is not None:
        pytest.skip(reason)
    built = nodes.TwoNodes(tmp_path)
    yield built
    built.close()


class Training:
    """One rank on each node, and what it says, until a word of it."""

    def __init__(self, two, prepared, output, *settings, limit=LIMIT, until="step 5/"):
        wanted = [f"watchdog.step_seconds={limit}", f"watchdog.checkpoint_seconds={limit}", "max_steps=400",
                  "checkpoint.every_steps=50", WHOLE_MOMENTS, *settings]  # fmt: skip
        command = two.command(1, FAULTY.resolve(), *arguments(prepared, output, *wanted))
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment(), stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)  # fmt: skip
        self.said = ""
        for line in self.process.stderr:
            self.said += line
            if until in line:
                break
        else:
            raise AssertionError(self.said)

    def ranks(self):
        """Of this job on either node."""
        found = []
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{name}/cmdline", "rb") as file:
                    words = file.read().split(b"\0")
            except OSError:
                continue
            if words[0] == os.fsencode(FAULTY.resolve()):
                found.append(int(name))
        return found

    def end(self):
        _, err = self.process.communicate(timeout=90)
        return self.process.returncode, self.said + err


def finish_and_compare(prepared, output, tmp_path, steps=400):
    settings = [f"max_steps={steps}", "checkpoint.every_steps=50", "comm.backend=mpi", WHOLE_MOMENTS]
    resumed = train(prepared, output, *settings)
    assert resumed.code == 0, resumed.err
    undisturbed = train(prepared, tmp_path / "undisturbed", *settings)
    assert undisturbed.code == 0, undisturbed.err
    assert trained_bytes(output, steps) == trained_bytes(tmp_path / "undisturbed", steps)
    return resumed.err


HOW = pytest.mark.parametrize(
    "how", [pytest.param("cut", marks=pytest.mark.fault(10)), pytest.param("drop", marks=pytest.mark.fault(11))]
)


def lose_node(two, training, how, most):
    """The end that mpirun comes to by itself, within `most` seconds, and no rank on either side behind it: code, what was said."""
    begin = time.monotonic()
    getattr(two, how)(1)
    code, err = training.end()
    seconds = time.monotonic() - begin
    assert seconds < most, (seconds, err)
    while training.ranks() and time.monotonic() < begin + most:
        time.sleep(0.1)
    assert training.ranks() == [], "ranks on either side still run"
    return code, err


@HOW
def test_a_node_that_cannot_be_reached(two, prepared, tmp_path, how):
    """Longer limits than mpirun's own for its daemons, as by default."""
    output = tmp_path / "run"
    code, err = lose_node(two, Training(two, prepared, output, limit=60, until="saved checkpoints/"), how, KEEPALIVE + SLACK)
    assert code == 205 and "lost communication with a remote daemon" in err, (code, err)
    assert resumed_step(finish_and_compare(prepared, output, tmp_path)) >= acknowledged(err) >= 50


@HOW
def test_a_node_that_cannot_be_reached_and_a_watchdog_that_is_first(two, prepared, tmp_path, how):
    """mpirun then has word for the lost daemon under way, and TCP does not ask for life but repeats: for a quarter of an hour by
    Linux' default, for 13 s here."""
    two.set("ipv4/tcp_retries2", 5)
    output = tmp_path / "run"
    code, err = lose_node(two, Training(two, prepared, output, until="saved checkpoints/"), how, LIMIT + 13 + SLACK)
    assert code == 70 and re.search(r"error: watchdog: ranks? 1 on \S+ do(es)? not answer", err), (code, err)
    assert resumed_step(finish_and_compare(prepared, output, tmp_path)) >= acknowledged(err) >= 50


@pytest.mark.fault(12)
def test_four_seconds_without_a_network(two, prepared, tmp_path):
    """What was on its way is asked for 0.2, 0.6, 1.4, 3 and 6.2 s after it went (TCP doubles its patience): that long, not 4 s, a
    step may take."""
    output = tmp_path / "run"
    training = Training(two, prepared, output, limit=2 * LIMIT)
    two.cut(1)
    time.sleep(4)
    two.mend(1)
    code, err = training.end()
    assert code == 0, err
    assert "watchdog" not in err, err
    finish_and_compare(prepared, output, tmp_path)


@pytest.mark.fault(13)
def test_a_slow_link_does_no_harm(two, prepared, tmp_path):
    output = tmp_path / "run"
    two.slow(1, "2mbit")
    training = Training(two, prepared, output, "max_steps=30")
    code, err = training.end()
    assert code == 0, err
    assert re.search(r"communication (\d+\.\d) %", err), err
    share = max(float(found) for found in re.findall(r"communication (\d+\.\d) %", err))
    assert share > 50, "the log says where the time goes"
    finish_and_compare(prepared, output, tmp_path, steps=30)
