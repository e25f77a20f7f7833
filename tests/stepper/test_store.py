"""The packed lists of a timeline, where a hostile recording reaches their limits."""

from pystack.stepper import store
from pystack.stepper.store import PackedColumns


def row_of(index, block, at):
    return block.row(at)


def test_a_record_with_very_many_rows_can_be_read_and_watched():
    """Until the end of a record, its rows are not packed, and there may be very many of them."""
    rows = [[number, f"subject {number}", {"value": -number, f"only {number % 700}": None}] for number in range(66_000)]
    whole = PackedColumns(row_of, [(0, 1), (2,)], dicts=2)
    watched = []
    whole.watch = lambda first, some: watched.extend(enumerate(map(tuple, some), first))
    for row in rows:
        whole.append(list(row))
    for upto in (0, 1000):
        whole.pack(upto)
        assert list(whole) == [tuple(row) for row in rows]
    assert watched == [(number, tuple(row)) for number, row in enumerate(rows[:512])]


def test_only_the_groups_that_are_read_are_unpacked(monkeypatch):
    whole = PackedColumns(row_of, [(0, 2), (1,), (3,)], block=4, dicts=3)
    for number in range(8):
        whole.append([number, "a" * number, -number, {"a": number}])
    whole.pack(8)
    unpacked = []
    inflated = store.inflated
    monkeypatch.setattr(store, "inflated", lambda data: unpacked.append(data) or inflated(data))
    assert (whole.value(5, 2), whole.value(6, 0)) == (-5, 6)
    assert unpacked == [whole.blocks[1][0]]
    assert whole.value(5, 3) == {"a": 5}
    assert unpacked == [whole.blocks[1][0], whole.blocks[1][2]]
    assert whole[2] == (2, "aa", -2, {"a": 2})
    assert unpacked[2:] == list(whole.blocks[0])


def test_values_of_every_type_come_back_as_they_were():
    columns = [
        [0, 1 << 31, -(1 << 63), 1], [1 << 63, 0, 1, 2], [True, 1, 0, False], [None, "é", "\ud800", b"\0"],
        ["", "\u20ac", "", "\0"], [1.5, -0.0, 2, (1, [2, {"a": None}])], [10**400, -(10**400), 0, 0],
    ]  # fmt: skip
    rows = [[*row, dict(zip("abcdefg", row, strict=True))] for row in zip(*columns, strict=True)]
    whole = PackedColumns(row_of, [(0, 6, 2), (1, 3, 4, 5), (7,)], block=4, dicts=7)
    for row in rows:
        whole.append(list(row))
    whole.pack(4)
    assert not whole.tail
    for at, row in enumerate(rows):
        assert repr(whole[at]) == repr(tuple(row))
