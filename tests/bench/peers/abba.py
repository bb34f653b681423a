"""Two jobs that both stay in memory and take turns: A B, B A, A B, … on the same cores.

A job is some processes that write one line per optimizer step to a log. Between its turns its processes are stopped
(SIGSTOP), so both meet the same clock speed and neighbours within seconds, and neither pays its start-up again. A turn:
go on, let the step that was cut in two end, then count whole steps. Both jobs count the same steps of the same data.
"""

import json
import os
import random
import signal
import statistics
import subprocess
import time

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_ticks(pid):
    """User and system time of a process with all its threads."""
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def machine_ticks(cpus):
    """Time in which somebody used one of `cpus`, stolen time included."""
    wanted = {f"cpu{cpu}" for cpu in cpus}
    busy = 0
    with open("/proc/stat", encoding="ascii") as file:
        for line in file:
            name, *values = line.split()
            if name in wanted:
                user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, values[:8])
                busy += user + nice + system + irq + softirq + steal
    return busy


def children_of(pid):
    found = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
            for child in map(int, file.read().split()):
                found += [child, *children_of(child)]
    return found


class Job:
    """`commands`: [(argv, environment)], one for each process that this starts. `workers(pids)` picks, of those and all
    their descendants, the processes that compute. `read_steps()` gives the losses of all complete steps so far."""

    def __init__(self, name, commands, read_steps, log_path, is_worker=lambda command: True):
        self.name, self.read_steps, self.is_worker, self.log_path = name, read_steps, is_worker, log_path
        self.log = open(log_path, "w", encoding="utf-8")
        self.processes = [
            subprocess.Popen(argv, env=environment, stdout=self.log, stderr=subprocess.STDOUT, start_new_session=True)
            for argv, environment in commands]

    def workers(self):
        pids = []
        for process in self.processes:
            for pid in [process.pid, *children_of(process.pid)]:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    if self.is_worker(file.read().decode(errors="replace").split("\0")):
                        pids.append(pid)
        return pids

    def wait_for_step(self, step, deadline_seconds=1200):
        """Until `step` steps are done."""
        deadline = time.monotonic() + deadline_seconds
        while len(self.read_steps()) < step:
            dead = [process.returncode for process in self.processes if process.poll() is not None]
            if dead or time.monotonic() > deadline:
                with open(self.log_path, encoding="utf-8", errors="replace") as file:
                    tail = file.read()[-2000:]
                raise RuntimeError(f"{self.name}: " + (f"ended with {dead}" if dead else f"no step {step} in "
                                   f"{deadline_seconds} s") + f". Its output ends with:\n{tail}")
            time.sleep(0.004)

    def signal(self, number):
        for pid in self.pids:
            os.kill(pid, number)

    def start_up(self, steps):
        """Runs the first `steps` steps, which do not count, and stops."""
        self.wait_for_step(steps)
        self.pids = self.workers()
        self.signal(signal.SIGSTOP)

    def turn(self, num_steps, cpus):
        begin = len(self.read_steps()) + 1  # the step that the last stop cut in two does not count
        self.signal(signal.SIGCONT)
        self.wait_for_step(begin)
        measure = lambda: (time.monotonic(), sum(map(cpu_ticks, self.pids)), machine_ticks(cpus))  # noqa: E731
        start = measure()
        self.wait_for_step(begin + num_steps)
        end = measure()
        self.signal(signal.SIGSTOP)
        seconds, own, machine = (b - a for a, b in zip(start, end))
        return {"steps": [begin, begin + num_steps], "seconds": seconds, "cpu_seconds": own / TICKS,
                "foreign_share": max(0.0, (machine - own) / TICKS / (seconds * len(cpus)))}

    def peak_memory(self):
        """Largest resident size of each process so far, in bytes."""
        peaks = []
        for pid in self.pids:
            with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
                peaks += [int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM")]
        return peaks

    def end(self):
        for process in self.processes:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()
        self.log.close()


def pairs_of_turns(ours, peer, num_pairs, steps, cpus, report):
    """Runs the turns; [(our turn, the peer's turn)]. `report(pair number, ours, peer)` after each pair."""
    pairs = []
    for number in range(num_pairs):
        first, second = (ours, peer) if number % 2 == 0 else (peer, ours)
        turns = {job.name: job.turn(steps, cpus) for job in (first, second)}
        pairs.append((turns[ours.name], turns[peer.name]))
        report(number, *pairs[-1])
    return pairs


def ratio(pairs, key, seed=1):
    """Median over pairs of peer / ours with a bootstrap 95 % confidence interval (10,000 resamples of pairs)."""
    ratios = [peer[key] / own[key] for own, peer in pairs]
    rng = random.Random(seed)
    medians = sorted(statistics.median(rng.choices(ratios, k=len(ratios))) for _ in range(10000))
    return {"median": statistics.median(ratios), "low": medians[249], "high": medians[9749], "pairs": len(ratios)}


def quiet(pairs, limit):
    """(pairs in which nobody else used more than `limit` of the cores, how many were not, False); where some were not and
    fewer than 3 are left (all pairs, how many were not, True): a noisy run, from which nothing follows."""
    kept = [pair for pair in pairs if max(turn["foreign_share"] for turn in pair) <= limit]
    noisy = len(kept) < min(3, len(pairs))
    return (pairs if noisy else kept), len(pairs) - len(kept), noisy


def read_jsonl(path):
    """Complete lines only: the last one may be half written."""
    try:
        with open(path, encoding="utf-8") as file:
            return [json.loads(line) for line in file if line.endswith("\n")]
    except FileNotFoundError:
        return []
