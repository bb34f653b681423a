"""The fault matrix: `@pytest.mark.fault(N)` says which row a test shows; the end of the run prints the table."""

import pytest

ROWS = {}  # number -> [(outcome, seconds, reason)]


def pytest_configure(config):
    config.addinivalue_line("markers", "fault(number): the row of the fault matrix that this test shows")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A report travels from the worker that made it to the process that prints the table."""
    report = (yield).get_result()
    report.user_properties += [("fault", marker.args[0]) for marker in item.iter_markers("fault")]


def pytest_runtest_logreport(report):
    if report.when != "call" and report.outcome == "passed":
        return
    why = report.longrepr[2] if report.skipped and isinstance(report.longrepr, tuple) else ""
    for number in {value for name, value in report.user_properties if name == "fault"}:
        ROWS.setdefault(number, []).append((report.outcome, report.duration, why))


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
