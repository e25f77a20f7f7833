"""Flow control: what is not among the values of lab 10, whose experiment this is."""

from pystack.labs.lab_10_flow_control.experiment import asleep, single_bytes


def test_the_counters_of_closed_windows():
    before, after = asleep()["closings"]
    assert before == (1, 0) and after[0] == after[1] >= 1


def test_what_the_window_leaves_over_goes_after_the_override_timeout():
    # RFC 9293 3.8.6.2.1 (4): 8192 is five segments and 892 bytes; these wait one RTO, the rest comes in full segments.
    assert single_bytes(buffer=8192)[:8] == [1460] * 5 + [892, 1460, 1460]
