"""The forty faults a run must come through. `@pytest.mark.fault(N)` says which row a test shows, in tests/faults or tests/cluster;
the end of a run of either prints its rows, with what each took there. `tests/conftest.py` is where pytest meets the hooks."""

import pathlib
import re
import sys

import pytest

TESTS = pathlib.Path(__file__).resolve().parents[1]

FAULTS = {
    1: "kill -9 of a rank in a step",
    2: "kill -9 of rank 0, in a step",
    3: "kill -9 while a checkpoint is written, in every phase",
    4: "kill while prompts are scored",
    5: "segmentation fault, abort, exception in one rank",
    6: "a rank ends with 0 in the middle",
    7: "a rank hangs in input or in a step",
    8: "a rank is stopped (SIGSTOP)",
    9: "hang in evaluation or while a checkpoint is written",
    10: "the cable of a node is cut",
    11: "packets of a node are dropped, silently",
    12: "four seconds without a network",
    13: "a slow rank, a slow link",
    14: "node crash under Slurm",
    15: "node crash and fast reboot",
    16: "SIGUSR1 before the time limit",
    17: "SIGTERM of scancel, time limit, requeue",
    18: "preemption by a higher partition",
    19: "SIGUSR1 through mpirun",
    20: "a signal while a checkpoint is written or prompts are scored",
    21: "crash loop without progress",
    22: "disk full while saving",
    23: "EIO of write, fsync, rename while saving",
    24: "power cut after \"saved\"",
    25: "output folder read-only, missing, or a file",
    26: "truncated dataset",
    27: "flipped bits, zeroed pages in a dataset",
    28: "dataset of wrong type, rank, values, storage; empty",
    29: "corrupt safetensors, corrupt checkpoint",
    30: "a checkpoint lacks a file, or has that of another step",
    31: "gradient not finite in one rank",
    32: "one weight differs in one rank",
    33: "resume on another number of ranks",
    34: "config, tokenizer, data, model differ on resume",
    35: "bad YAML",
    36: "two jobs in one run folder; the lock of a killed one",
    37: "clocks of ranks an hour apart, or set back during the run",
    38: "no GPU, or fewer than ranks",
    39: "started without its launcher",
    40: "one rank runs out of memory",
}

RESULTS = {}  # number -> [(outcome, seconds, reason)]
SUITES = set()  # folders whose tests have run


def marked(suite):
    """The rows that tests of a folder carry."""
    text = "".join(path.read_text(encoding="utf-8") for path in sorted((TESTS / suite).glob("test_*.py")))
    return {int(number) for number in re.findall(r"mark\.fault\((\d+)\)", text)}


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A report travels from the worker that made it to the process that prints the table."""
    report = (yield).get_result()
    report.user_properties += [("fault", marker.args[0]) for marker in item.iter_markers("fault")]


def pytest_runtest_logreport(report):
    SUITES.update(suite for suite in ("faults", "cluster") if f"{suite}/" in report.nodeid)
    if report.when != "call" and report.outcome == "passed":
        return
    why = report.longrepr[2] if report.skipped and isinstance(report.longrepr, tuple) else ""
    for number in {value for name, value in report.user_properties if name == "fault"}:
        RESULTS.setdefault(number, []).append((report.outcome, report.duration, why))


def row_result(entries):
    outcomes = [outcome for outcome, _, _ in entries]
    if "failed" in outcomes:
        return "FAILED"
    shown = outcomes.count("passed")
    if shown == 0:
        return "not shown: " + entries[0][2].removeprefix("Skipped: ")
    skipped = outcomes.count("skipped")
    return f"ok ({shown})" + (f", {skipped} in the long form" if skipped else "")


def row_of_cluster():
    """What is said of a row that only tests/cluster shows, where that suite has not run."""
    sys.path.insert(0, str(TESTS.parent / "cluster" / "lab"))
    import slurm_lab

    reason = slurm_lab.missing()
    return f"not shown: no Slurm lab here: {reason}" if reason else "not run here: the table of tests/cluster has it"


def pytest_terminal_summary(terminalreporter):
    """All rows behind tests/faults; behind tests/cluster alone those that it shows."""
    if not RESULTS:
        return
    terminalreporter.section("fault matrix")
    elsewhere = marked("cluster") - marked("faults")
    for number, text in FAULTS.items():
        entries = RESULTS.get(number, [])
        if entries:
            result = row_result(entries)
        elif "faults" not in SUITES:
            continue
        else:
            result = row_of_cluster() if number in elsewhere else "not run"
        ran = [duration for outcome, duration, _ in entries if outcome != "skipped"]
        seconds = f"{sum(ran):6.1f} s" if ran else f"{'-':>6}  "
        terminalreporter.write_line(f"{number:3}  {text:62}  {seconds}  {result}")
