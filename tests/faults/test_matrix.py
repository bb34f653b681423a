"""The table itself: no row without a test, no test without a row."""

from fault_matrix import FAULTS, marked


def test_every_row_is_shown():
    rows = marked("faults") | marked("cluster")
    assert list(FAULTS) == list(range(1, 41))
    assert rows == set(FAULTS), (set(FAULTS) - rows, rows - set(FAULTS))
