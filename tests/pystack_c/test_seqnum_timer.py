"""Sequence numbers at their edges, and the timer queue against a plain list."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pystack_c.base import seqnum
from pystack_c.base.timer import Timer, TimerOwner, TimerQueue

M = 1 << 32
NUMBERS = st.one_of(st.integers(0, M - 1), st.sampled_from([0, 1, M - 1, M - 2, 1 << 31, (1 << 31) - 1, (1 << 31) + 1]))


@pytest.mark.parametrize(
    ("a", "b", "lt"),
    [(0, 1, True), (M - 1, 0, True), (0, M - 1, False), (5, 5, False), (0, (1 << 31) - 1, True), ((1 << 31) - 1, M - 2, True),
     (0, (1 << 31) - 16, True), ((1 << 31) + 5, 0, True), (M - 10, (1 << 31) - 11, True)],
)  # fmt: skip
def test_before_and_after(a, b, lt):
    assert seqnum.seq_lt(a, b) == lt and seqnum.seq_gt(b, a) == lt
    assert seqnum.seq_le(a, b) == (lt or a == b) and seqnum.seq_ge(b, a) == (lt or a == b)


@given(NUMBERS, st.integers(-(1 << 31) + 1, (1 << 31) - 1))
def test_arithmetic_is_modulo_2_to_the_32(a, n):
    b = seqnum.seq_add(a, n)
    assert b == (a + n) % M
    assert seqnum.seq_diff(b, a) == n and seqnum.seq_diff(a, b) == -n
    assert seqnum.seq_lt(a, b) == (n > 0) and seqnum.seq_ge(a, b) == (n <= 0)
    assert seqnum.seq_max(a, b) == (b if n > 0 else a)


def test_half_the_space_away_counts_as_before():
    # Neither is later by arithmetic; the comparisons must at least not both hold, and the difference is defined.
    assert seqnum.seq_diff(1 << 31, 0) == -(1 << 31)
    assert seqnum.seq_lt(0, 1 << 31) and seqnum.seq_lt(1 << 31, 0) and not seqnum.seq_ge(0, 1 << 31)


class Owner(TimerOwner):
    pass


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, 7), st.sampled_from(["arm", "arm", "cancel", "run"]), st.integers(0, 50))))
def test_timers_fire_in_order_of_deadline_and_arming(steps):
    queue, timers = TimerQueue(), [Timer(Owner(), n) for n in range(8)]
    model: list[tuple[int, int, int]] = []  # (deadline, order of arming, timer)
    now = order = 0
    for which, action, amount in steps:
        if action != "run":
            model = [entry for entry in model if entry[2] != which]
        if action == "arm":
            order += 1
            queue.arm(timers[which], now + amount)
            model.append((now + amount, order, which))
        elif action == "cancel":
            queue.cancel(timers[which])
        else:
            now += amount
            fired = []
            while (timer := queue.pop_due(now)) is not None:
                fired.append(timer.kind)
                assert not timer.armed()
            due = sorted(entry for entry in model if entry[0] <= now)
            model = [entry for entry in model if entry[0] > now]
            assert fired == [entry[2] for entry in due]
        assert queue.next_deadline() == min((entry[0] for entry in model), default=-1)
        assert [timer.armed() for timer in timers] == [n in {entry[2] for entry in model} for n in range(8)]


def test_a_stopped_timer_is_not_due_and_keeps_its_place_until_then():
    queue = TimerQueue()
    stopped, other = Timer(Owner(), 1), Timer(Owner(), 2)
    queue.arm(stopped, 10)
    queue.arm(other, 20)
    queue.stop(stopped)
    assert not stopped.armed() and len(queue) == 2
    # Set again, to a later time: its place is put right when it comes up.
    queue.arm(stopped, 30)
    assert queue.next_deadline() == 20
    assert queue.pop_due(30) is other and queue.pop_due(30) is stopped and queue.pop_due(30) is None
    queue.arm(stopped, 40)
    queue.stop(stopped)
    assert queue.next_deadline() == -1 and len(queue) == 0
    queue.arm(stopped, 50)
    queue.stop(stopped)
    queue.cancel(stopped)
    assert len(queue) == 0 and stopped.index == -1
