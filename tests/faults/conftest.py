"""The fault matrix: `@pytest.mark.fault(N)` says which row a test shows; the end of the run prints the table."""

import importlib.util
import os
import pathlib
import sys

import pytest

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1] / "system")]
_spec = importlib.util.spec_from_file_location("system_conftest", pathlib.Path(sys.path[0]) / "conftest.py")
_system = importlib.util.module_from_spec(_spec)
sys.modules["system_conftest"] = _system
_spec.loader.exec_module(_system)
globals().update({name: value for name, value in vars(_system).items() if not name.startswith("__")})

FULL = bool(os.environ.get("BREAKEVEN_FULL"))
ROWS = {}  # number -> [(outcome, seconds, reason)]


def pytest_configure(config):
    config.addinivalue_line("markers", "fault(number): the row of the fault matrix that this test shows")
    config.addinivalue_line("markers", "full: runs with BREAKEVEN_FULL=1 only")


def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("full") and not FULL:
            item.add_marker(pytest.mark.skip(reason="long form: BREAKEVEN_FULL=1, or ./tests/run.sh full"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    for marker in item.iter_markers("fault"):
        if report.when == "call" or report.outcome != "passed":
            why = report.longrepr[2] if report.skipped and isinstance(report.longrepr, tuple) else ""
            ROWS.setdefault(marker.args[0], []).append((report.outcome, report.duration, why))


def row_result(entries):
    outcomes = [outcome for outcome, _, _ in entries]
    if "failed" in outcomes:
        return "FAILED"
    shown = outcomes.count("passed")
    if shown == 0:
        return "not shown: " + entries[0][2].removeprefix("Skipped: ")
    skipped = outcomes.count("skipped")
    return f"ok ({shown})" + (f", {skipped} in the long form" if skipped else "")


def pytest_terminal_summary(terminalreporter):
    from matrix import FAULTS, SHOWN_ELSEWHERE

    if not ROWS:
        return
    terminalreporter.section("fault matrix")
    for number, text in FAULTS.items():
        entries = ROWS.get(number, [])
        elsewhere = SHOWN_ELSEWHERE.get(number)
        result = row_result(entries) if entries else f"see {elsewhere}" if elsewhere else "not run"
        seconds = sum(duration for _, duration, _ in entries)
        terminalreporter.write_line(f"{number:3}  {text:62}  {seconds:6.1f} s  {result}")
