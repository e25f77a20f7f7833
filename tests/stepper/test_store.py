"""The packed lists of a timeline, where a hostile recording reaches their limits."""

from pystack.stepper.store import PackedColumns


def test_a_record_with_very_many_rows_is_read_in_blocks():
    """Until the end of a record, its rows are not packed. Numbers of two bytes must be enough for each block."""
    rows = [[number, f"subject {number}", {"value": -number, f"only {number % 700}": None}] for number in range(66_000)]
    whole = PackedColumns(lambda _, row: row, dicts=2)
    for row in rows:
        whole.append(list(row))
    for upto in (0, 1000):
        whole.pack(upto)
        found = [
            (start + at, block.row(at)) for start, block in whole.each_block() for at in range(len(block.columns[0]))
        ]
        assert found == [(number, tuple(row)) for number, row in enumerate(rows)]


def test_values_of_every_type_come_back_as_they_were():
    columns = [
        [0, 1 << 31, -(1 << 63), 1], [1 << 63, 0, 1, 2], [True, 1, 0, False], [None, "é", "\ud800", b"\0"],
        ["", "\u20ac", "", "\0"], [1.5, -0.0, 2, (1, [2, {"a": None}])], [10**400, -(10**400), 0, 0],
    ]  # fmt: skip
    rows = [[*row, dict(zip("abcdefg", row, strict=True))] for row in zip(*columns, strict=True)]
    whole = PackedColumns(lambda _, row: row, block=4, dicts=7)
    for row in rows:
        whole.append(list(row))
    whole.pack(4)
    assert not whole.tail
    for at, row in enumerate(rows):
        assert repr(whole[at]) == repr(tuple(row))
