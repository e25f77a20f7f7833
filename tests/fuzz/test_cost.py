"""The cost oracle: it finds artificial defects of each kind, and what comes in from outside costs no more than its bounds.

Only what is counted decides here, lines and bytes; the processor's time is for `make fuzz`. Compiled, the core runs no lines of
Python: all targets are measured on the uncompiled build. The artificial targets run nothing of pystack, so they are tried `once`.
"""

from dataclasses import replace
from random import Random

import pytest

import pystack
from tests.support import costs, meter
from tests.support.costs import TARGETS, Target
from tools import cost

PURE = not any(pystack.compiled().values())


def seeds(given):
    return b"".join(unit * times for unit, times in given)


def linear(given):
    total = 0
    for byte in seeds(given):
        total += byte
    return total


def quadratic(given):
    """Each `x` looks at all before it."""
    seen = []
    total = 0
    for byte in seeds(given):
        seen.append(byte)
        if byte == ord("x"):
            for one in seen:
                total += one
    return total


def hoarder(given):
    return [bytes(1000) for byte in seeds(given) if byte == ord("x")]


def forever(given):
    while b"xx" in seeds(given):
        pass


def thrower(given):
    if b"xy" in seeds(given):
        raise KeyError("xy")


WORDS = (b"a", b"b", b"c", b"x", b"y")
#: a fair bound for `linear`: two lines a byte
LOOSE = {"lines": (1000, 2000, 0), "memory": (100_000, 100, 0), "longest": 400}


def find(run, tries=100, seed=1, **bounds):
    target = Target("artificial", run, WORDS, **{**LOOSE, **bounds})
    return cost.search(target, Random(seed), True, lambda tried: tried >= tries, timing=False)


@pytest.mark.once
def test_a_linear_one_is_quiet():
    assert find(linear, 24, lines=(1000, 4, 0)) is None


@pytest.fixture(scope="module")
def grown():
    """What the search finds about `quadratic`."""
    return find(quadratic)


@pytest.mark.once
def test_a_quadratic_one_grows(grown):
    failure = grown
    assert failure is not None and "grows faster" in failure.what
    assert b"x" in seeds(failure.given)


@pytest.mark.once
def test_a_bound_is_a_bound():
    failure = find(quadratic, lines=(1000, 20, 0))
    assert failure is not None and "at most" in failure.what and "are allowed" in failure.what


@pytest.mark.once
def test_memory_is_found():
    failure = find(hoarder)
    assert failure is not None and "uses" in failure.what and "bytes" in failure.what


def test_what_never_ends_is_found():
    failure = find(forever)
    assert failure is not None and "does not come to an end" in failure.what


def test_what_raises_is_found():
    failure = find(thrower)
    assert failure is not None and "KeyError" in failure.what


def test_work_in_c_is_found_by_time():
    """A pattern that goes back and forth runs no lines: the watchdog ends it, in C."""
    import re

    pattern = re.compile(r"(a+)+$")
    target = Target(
        "artificial", lambda given: pattern.match(seeds(given).decode()), (b"a", b"b"), seeds=([(b"a", 60), (b"b", 1)],)
    )
    with pytest.raises(meter.Endless), meter.Watchdog(0.3):
        target.run(target.seeds[0])


@pytest.mark.once
def test_a_failure_can_be_saved(grown):
    again = cost.load(grown.dump())
    assert again.given == grown.given
    assert cost.Gauge(Target("artificial", quadratic, WORDS, **LOOSE), True, False).judge(again.given) is not None


def test_lines_are_the_same_each_time():
    for name in ("http", "pkt", "expression"):
        target = TARGETS[name]
        given = [(target.words[0], 3), (target.words[3], 2)]
        target.run(given)
        assert len({meter.lines_of(lambda t=target, g=given: t.run(g)) for _ in range(3)}) == 1


def test_fragments_in_any_order_cost_no_more_than_in_order():
    """`make fuzz` found this: each fragment was compared with all the pieces that come behind it, up to 256 of them."""
    if not PURE:
        pytest.skip("the core runs no lines where it is compiled")
    backwards = [(bytes((0, 0, 2, 1, 1, 0)), 200)]
    forwards = [(bytes((0, 0, 2, 1, 3, 0)), 200)]
    run = TARGETS["fragments"].run
    assert len(run(backwards).stack.reasm.table) == len(run(forwards).stack.reasm.table) == 1
    lines = [meter.lines_of(lambda g=g: run(g)) for g in (forwards, backwards)]
    assert lines[1] < 1.5 * lines[0]


def test_a_request_in_small_pieces_is_searched_once():
    """`make fuzz` found this: the search for a request's end began at its first byte again with each piece that arrived."""
    if not PURE:
        pytest.skip("the core runs no lines where it is compiled")
    run = TARGETS["hello"].run
    lines = [meter.lines_of(lambda n=n: run([(b"a", n)])) for n in (200, 400, 800)]
    assert lines[2] - lines[1] < 2.1 * (lines[1] - lines[0])


def test_the_bound_of_tcp_counts_the_segments_that_the_application_fills():
    """`make fuzz` reported this honest work: SACK blocks left 12 bytes to the data of each segment, so a write filled 16 segments."""
    if not PURE:
        pytest.skip("the core runs no lines where it is compiled")
    late, write = (b"\3\0\0\3\1\1\2\0", 100), (b"\0\x1f\0\0\0\0\0\0", 60)
    acks = [(b"\2\0\1\1\0\0\3\0", 100), (b"\2\0\3\1\2\0\2\0", 100)]
    # The peer's ACKs may let the stack retransmit each of these segments, here at once: no time passes.
    found = (
        ("01030200b2010300", 1),
        ("00f9050501000300", 1),
        ("0305030503020305", 9),
        ("00230000004d0000", 40),
        ("0201028a02780302", 50),
        ("0200030030000100", 300),
        ("0103020002010300", 2),
        ("018a0101c3ce0301", 50),
        ("01030200b2010300", 1),
        ("0305030503000305", 3),
        ("15000102010300a0", 50),
    )
    gauge = cost.Gauge(TARGETS["tcp"], True, False)
    assert gauge.judge([(bytes.fromhex(unit), times) for unit, times in found], growth=False) is None
    assert gauge.judge([late, write, *acks], growth=False) is None
    # Control: what the peer sends has the bound that it had.
    assert gauge.allowed([late, *acks], gauge.target.lines) == 330_000 + 300 * 1600


def test_segments_that_are_lost_again_each_round_trip_cost_in_proportion():
    """SACK blocks of one byte at a round trip of one frame: RACK's reordering timer expires before each second ACK."""

    def frames(times):
        runs = (
            ("001f000000000000", 20),
            ("0000000000000000", 100),
            ("0101010400010100", 100),
            ("0200030102000200", 100),
        )
        wire = costs.tcp([(bytes.fromhex(unit), count * times) for unit, count in runs])
        assert wire.tcb.total_retrans > wire.count  # it is the case that this test is about
        return wire.sent

    sizes = [frames(times) for times in (1, 2, 4)]
    assert sizes[1] < cost.GROWTH * sizes[0] and sizes[2] < cost.GROWTH * sizes[1], sizes


@pytest.mark.parametrize("name", TARGETS)
def test_what_comes_in_costs_no_more_than_its_bounds(name):
    target = TARGETS[name]
    if not PURE:
        # The code of the others is the same there, and what they call of the core has no lines.
        pytest.skip("the core runs no lines where it is compiled: the uncompiled run counts them all")
    small = replace(target, most_units=min(target.most_units, 160), longest=min(target.longest, 4000))
    failure = cost.search(
        small, Random(f"test {name}"), True, lambda tried: tried >= len(target.seeds) + 4, timing=False
    )
    assert failure is None, failure.text()
