"""The table itself: no row without a test, no test without a row."""

import pathlib
import re

from matrix import FAULTS, SHOWN_ELSEWHERE


def test_every_row_is_shown():
    text = "".join(path.read_text() for path in sorted(pathlib.Path(__file__).parent.glob("test_*.py")))
    marked = {int(number) for number in re.findall(r"mark\.fault\((\d+)\)", text)}
    assert list(FAULTS) == list(range(1, 41))
    assert marked | set(SHOWN_ELSEWHERE) == set(FAULTS), (set(FAULTS) - marked, marked - set(FAULTS))
