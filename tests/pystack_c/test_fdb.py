"""The forwarding table of bridges (IEEE 802.1D 7.8, 7.9)."""

from pystack_c.link.fdb import AGEING_TIME, ForwardingTable

A, B, C, GROUP = (bytes([first, 0, 0, 0, 0, last]) for first, last in ((2, 1), (2, 2), (2, 3), (3, 1)))


def test_an_address_is_known_behind_the_port_where_it_was_seen_last():
    table = ForwardingTable()
    assert table.lookup(A, 0) is None
    table.learn(A, "left", 0)
    assert table.lookup(A, 1) == "left" and table.lookup(B, 1) is None
    table.learn(A, "right", 2)
    assert table.lookup(A, 3) == "right"


def test_a_group_address_is_never_learned():
    table = ForwardingTable()
    table.learn(GROUP, "left", 0)
    assert table.lookup(GROUP, 0) is None and not table.entries


def test_an_address_ages():
    table = ForwardingTable()
    table.learn(A, "left", 0)
    assert table.lookup(A, AGEING_TIME) == "left"
    assert table.lookup(A, AGEING_TIME + 1) is None
    for_ever = ForwardingTable(ageing=0)
    for_ever.learn(A, "left", 0)
    assert for_ever.lookup(A, 1 << 60) == "left"


def test_a_full_table_learns_only_in_the_place_of_an_old_entry():
    table = ForwardingTable(limit=2)
    table.learn(A, "left", 0)
    table.learn(B, "left", 5)
    table.learn(C, "right", 6)
    assert table.lookup(C, 6) is None and table.refused == 1 and len(table.entries) == 2
    table.learn(C, "right", AGEING_TIME + 1)
    assert table.lookup(C, AGEING_TIME + 1) == "right" and len(table.entries) == 2


def test_static_entries_stay_and_a_port_that_goes_takes_its_entries_along():
    table = ForwardingTable()
    table.set_static(A, "left")
    table.learn(A, "right", 1)
    assert table.lookup(A, 1 << 60) == "left"
    table.learn(B, "right", 1)
    table.forget_port("right")
    assert table.lookup(B, 1) is None and table.lookup(A, 1) == "left"


def test_an_address_that_is_seen_again_does_not_hide_an_old_one():
    table = ForwardingTable(limit=2)
    table.learn(A, "left", 0)
    table.learn(B, "left", 1)
    table.learn(A, "left", AGEING_TIME)
    table.learn(C, "right", AGEING_TIME + 2)
    assert list(table.entries) == [A, C] and table.refused == 0
