"""The watchdog on jobs without a model: ranks that hang, stop, die or part, on one node and on two. Each must end within the
limit and a few seconds, with 70, naming the culprit. Times are measured; a hang is a failure, not a wait."""

import os
import re
import signal
import subprocess
import threading
import time

import nodes
import pytest
from program import BUILD, environment, mpirun, until

JOB = BUILD / "tests" / "watchdog_job"
LIMIT = 2  # seconds of a phase
# From the last sign of progress: the limit, the margin and rounds of the watchdog, the reports, the exchange between nodes,
# and the launcher's own end of the job (Open MPI takes up to 4 s).
MOST = LIMIT + 12


class Ended:
    def __init__(self, code, text, seconds):
        self.code, self.text, self.seconds = code, text, seconds
        self.verdicts = re.findall(r"error: watchdog: (.*)", text)

    def expect(self, *parts, code=70):
        assert self.code == code, (self.code, self.text)
        assert self.seconds < MOST, (self.seconds, self.text)
        assert len(self.verdicts) == 1, self.text
        for part in parts:
            assert re.search(part, self.verdicts[0]), (part, self.verdicts[0])


class Running:
    """A job under way. `act` is called once the ranks have begun."""

    def __init__(self, command, fault=None):
        env = environment()
        if fault is not None:
            env["BREAKEVEN_FAULT"] = fault
        self.process = subprocess.Popen([str(c) for c in command], env=env, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                        start_new_session=True)  # fmt: skip
        self.lines, self.begun = [], threading.Event()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line)
            if line.startswith("watching"):
                self.begun_at = time.monotonic()
                self.begun.set()
        self.begun.set()

    def living_ranks(self):
        """Children of the launcher that run, or are stopped."""
        table = subprocess.run(["ps", "--ppid", str(self.process.pid), "-o", "stat="], capture_output=True, text=True).stdout
        return [state for state in table.split() if not state.startswith("Z")]

    def end(self):
        try:
            code = self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            table = subprocess.run(["ps", "-eo", "pid,ppid,stat,wchan:24,etimes,args"], capture_output=True, text=True).stdout
            left = [line for line in table.splitlines() if "mpirun" in line or JOB.name in line]
            os.killpg(self.process.pid, signal.SIGKILL)
            raise AssertionError("the job hangs: " + "".join(self.lines) + "\n".join(["processes left:", *left])) from None
        seconds = time.monotonic() - getattr(self, "begun_at", time.monotonic())
        self.reader.join(10)
        return Ended(code, "".join(self.lines), seconds)


def job(ranks, *arguments, fault=None, limit=LIMIT):
    return Running([*mpirun(ranks), JOB, f"limit={limit}", *arguments], fault).end()


def test_an_undisturbed_job_ends_by_itself():
    ended = job(3, "steps=40")
    assert ended.code == 0 and "done" in ended.text, ended.text
    assert "watchdog" not in ended.text, ended.text


def test_a_rank_stuck_in_input_is_named():
    ended = job(3, fault="job.input@5:1=hang")
    ended.expect(r"^rank 1 on \S+ is in phase input, 1 collective behind")
    # Every rank says where it is, the culprit with the function that it hangs in.
    for rank in range(3):
        assert re.search(rf"\[rank {rank}\] warning: watchdog: .*This rank", ended.text), ended.text
    stuck = ended.text.split("[rank 1] warning")[1].split("[rank")[0]
    assert "phase input, step 5" in stuck and "main thread" in stuck and "FaultPoint" in stuck, stuck
    waiting = ended.text.split("[rank 2] warning")[1].split("[rank")[0]
    assert re.search(r"data AllReduce, call 5, of 64\.0 KiB at comm/watchdog_job\.cpp:\d+, not finished", waiting)


@pytest.mark.parametrize("rank", [0, 2])
def test_a_stopped_rank_is_named(rank):
    ended = job(3, fault=f"job.step@5:{rank}=stop")
    ended.expect(rf"^rank {rank} on \S+ is stopped \(SIGSTOP", "phase step, step 5", "1 collective behind")


def test_stopped_inside_a_collective():
    """The others are stuck inside the same collective: whoever does not run is the culprit."""
    ended = job(3, "elements=100000", fault="comm.all_reduce@9:1=stop")
    ended.expect(r"^rank 1 on \S+ is stopped", "inside data AllReduce, call 9,")


def test_a_rank_that_hangs_while_it_saves():
    job(3, fault="job.save@7:0=hang").expect(r"^rank 0 on \S+ is in phase checkpoint", "watchdog.checkpoint_seconds")


@pytest.mark.parametrize("action, said", [("hang", "is in phase start-up, 1 collective behind"), ("stop", r"is stopped \(SIGSTOP")])
def test_a_rank_that_never_opens_its_back_end(action, said):
    job(3, fault=f"comm.bind_device:1={action}").expect(rf"^rank 1 on \S+ {said}", "watchdog.startup_seconds")


@pytest.mark.parametrize("action, said", [("hang", "is in phase closing, [12] collectives? behind"), ("stop", r"is stopped \(SIGSTOP")])
def test_a_rank_that_does_not_come_to_the_end(action, said):
    """The others have done their work and wait for it, under watch."""
    job(3, fault=f"world.close:1={action}").expect(rf"^rank 1 on \S+ {said}", "watchdog.closing_seconds")


@pytest.mark.parametrize("action", ["hang", "stop"])
def test_a_rank_that_does_not_leave_mpi(action):
    """Behind the end of the watch: the job ends all the same. Its ranks do; mpirun hangs then now and then (comm/README.md)."""
    running = Running([*mpirun(3), JOB, f"limit={LIMIT}"], fault=f"mpi.finalize:1={action}")
    assert running.begun.wait(60), running.lines
    until("all ranks to end", lambda: running.process.poll() is not None or not running.living_ranks(), seconds=MOST)
    until("mpirun to say with what", lambda: any(re.search(r"Exit code: +70", line) for line in running.lines))
    try:
        assert running.process.wait(timeout=MOST) == 70, running.lines
    except subprocess.TimeoutExpired:  # no rank lives: mpirun has come to its own end, and stands there
        assert not running.living_ranks(), running.lines
        running.process.kill()
    ended = running.end()
    assert "MPI_Finalize has not returned for 2 s" in ended.text, ended.text


@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_rank_ends_the_job_at_once(rank):
    """The launcher notices and names it, before any limit."""
    ended = job(3, fault=f"job.step@5:{rank}=kill", limit=60)
    assert ended.code == 137 and ended.seconds < 10, (ended.code, ended.seconds, ended.text)
    assert f"process rank {rank} " in ended.text, ended.text


def test_ranks_that_part_are_named_by_the_watchdog():
    job(3, "part=6", "mpi=1").expect(r"rank 0 on .*data AllReduce, call 6, of 64\.0 KiB at comm/watchdog_job\.cpp:\d+",
                            r"rank 2 on .*data Broadcast, call 6, of 64\.0 KiB at comm/watchdog_job\.cpp:\d+")  # fmt: skip


def test_ranks_that_part_are_named_before_they_hang_when_calls_are_checked():
    ended = job(3, "part=6", "check=1", "mpi=1", limit=60)
    assert ended.code == 76 and ended.seconds < 10, (ended.code, ended.seconds, ended.text)
    message = next(line for line in ended.text.splitlines() if "error: " in line)
    site = r"\(comm/watchdog_job\.cpp:\d+\)"
    assert re.search(rf"rank 0 AllReduce, call 6: sum of 16384 float32 {site}", message), message
    assert re.search(rf"rank 2 Broadcast, call 6: 16384 float32 from rank 0 {site}", message), message


def test_checked_calls_change_nothing():
    assert job(3, "steps=20", "check=1").code == 0


def test_a_job_that_was_suspended_as_a_whole_goes_on():
    """Longer than the limit; when all go on, nobody has hung."""
    running = Running([*mpirun(2), JOB, f"limit={LIMIT}", "steps=200"])
    assert running.begun.wait(30)
    ranks = children(running.process.pid)
    assert len(ranks) == 2
    for pid in ranks:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(LIMIT + 2)
    for pid in ranks:
        os.kill(pid, signal.SIGCONT)
    ended = running.end()
    assert ended.code == 0, ended.text


def children(parent):
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8") as file:
                text = file.read()
        except OSError:
            continue
        if int(text.rsplit(")", 1)[1].split()[1]) == parent:
            found.append(int(name))
    return found


@pytest.fixture(scope="module")
def two_nodes(tmp_path_factory):
    reason = nodes.missing()
    if reason is not None:
        pytest.skip(reason)
    built = nodes.TwoNodes(tmp_path_factory.mktemp("nodes"))
    yield built
    built.close()


def job_on(two_nodes, *arguments, fault=None):
    return Running(two_nodes.command(2, JOB, f"limit={LIMIT}", *arguments), fault)


def test_two_nodes_undisturbed(two_nodes):
    ended = job_on(two_nodes, "steps=20", "elements=100003").end()
    assert ended.code == 0 and "done" in ended.text, ended.text


@pytest.mark.parametrize("rank, node", [(0, 0), (1, 0), (2, 1), (3, 1)])
def test_a_stopped_rank_on_either_node_is_named(two_nodes, rank, node):
    ended = job_on(two_nodes, fault=f"job.step@5:{rank}=stop").end()
    ended.expect(rf"^rank {rank} on {two_nodes.names[node]} is stopped", "phase step, step 5")
    # Of the other ranks on both nodes, each has said where it is. (The launcher wakes a stopped process to end it.)
    reported = set(re.findall(r"\[rank (\d)\] warning: watchdog: .*This rank", ended.text))
    assert reported >= {str(other) for other in range(4)} - {str(rank)}, ended.text


def test_a_rank_of_another_node_that_does_not_come_to_the_end(two_nodes):
    ended = job_on(two_nodes, fault="world.close:2=stop").end()
    ended.expect(rf"^rank 2 on {two_nodes.names[1]} is stopped", "watchdog.closing_seconds")


def test_a_rank_stuck_in_input_on_the_other_node(two_nodes):
    ended = job_on(two_nodes, fault="job.input@6:3=hang").end()
    ended.expect(rf"^rank 3 on {two_nodes.names[1]} is in phase input, 1 collective behind")


@pytest.mark.parametrize("rank", [0, 3])
def test_a_killed_rank_on_either_node(two_nodes, rank):
    ended = job_on(two_nodes, fault=f"job.step@5:{rank}=kill").end()
    assert ended.code == 137 and ended.seconds < MOST, (ended.code, ended.seconds, ended.text)
    assert f"process rank {rank} " in ended.text, ended.text


def test_a_whole_node_that_is_frozen(two_nodes):
    ended = job_on(two_nodes, fault="job.step@5:2=stop,job.step@5:3=stop").end()
    ended.expect(rf"^ranks 2, 3 on {two_nodes.names[1]} do not answer")


def ranks_of(mark):
    """Processes of the job whose command line has `mark`, on whatever node."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/cmdline", "rb") as file:
                words = file.read().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(b"watchdog_job") and mark.encode() in words:
            found.append(int(name))
    return found


def test_a_cable_that_is_cut(tmp_path):
    """Own nodes: their network is broken afterwards. All ranks end on both sides. mpirun itself is not ours: Open MPI 4.1's waits for
    its daemon behind the cut until TCP gives up."""
    reason = nodes.missing()
    if reason is not None:
        pytest.skip(reason)
    two = nodes.TwoNodes(tmp_path)
    mark = f"mark={os.getpid()}"
    running = job_on(two, "steps=100000", mark)
    try:
        assert running.begun.wait(30), running.lines
        assert len(ranks_of(mark)) == 4
        begin = time.monotonic()
        two.cut(1)
        while ranks_of(mark) and time.monotonic() < begin + MOST:
            time.sleep(0.1)
        assert ranks_of(mark) == [], "".join(running.lines)
        two.close()  # the launcher with it
        ended = running.end()
        assert len(ended.verdicts) == 1, ended.text  # the other side cannot be heard any more
        assert ended.verdicts[0].startswith(f"ranks 2, 3 on {two.names[1]} do not answer"), ended.text
    finally:
        two.close()
