"""The order of events, whichever way they were added."""

import random

import pytest

from pystack.sim.scheduler import Scheduler


def test_events_run_in_the_order_of_their_times_and_then_of_their_insertion():
    """`at`, `after` and `follow` give the same order, also if `follow` is called with times that fall."""
    r = random.Random(11)
    for _ in range(30):
        net = Scheduler()
        expected, ran = [], []
        for number in range(300):
            time = net.now + r.choice((0, 5, 5, 5, 200)) + r.choice((0, 0, 0, r.randrange(20)))
            way = r.randrange(4)
            if way == 0:
                net.at(time, ran.append, (time, number))
            elif way == 1:
                net.after(time - net.now, ran.append, (time, number))
            else:
                net.follow(time, ran.append, ((time, number),))
            expected.append((time, number))
            assert len(net) == len(expected) - len(ran)
            if r.random() < 0.3:
                first = min(set(expected) - set(ran))
                assert net.next_time() == first[0]
                assert net.step() and ran[len(ran) - 1] == first and net.now == first[0]
        left = sorted(set(expected) - set(ran))
        net.run_until_idle()
        assert ran[len(expected) - len(left) :] == left and sorted(ran) == sorted(expected)
        assert not net.step() and net.next_time() is None and len(net) == 0


def test_soon_comes_before_everything_that_is_due():
    net, ran = Scheduler(), []
    for name in "ab":
        net.follow(0, ran.append, (name,))
    net.at(0, ran.append, "c")
    net.soon(ran.append, "first")
    net.soon(ran.append, "second")
    assert len(net) == 5
    net.run(0)
    assert ran == ["first", "second", "a", "b", "c"]


def test_settle_leaves_what_is_added_meanwhile_and_what_is_not_due():
    net, ran = Scheduler(), []
    net.follow(0, lambda: (ran.append(1), net.follow(0, ran.append, (4,))), ())
    net.at(0, ran.append, 2)
    net.follow(0, ran.append, (3,))
    net.follow(1, ran.append, (5,))
    net.settle()
    assert ran == [1, 2, 3] and net.now == 0
    net.run(0)
    assert ran == [1, 2, 3, 4]
    net.run(1)
    assert ran == [1, 2, 3, 4, 5]


def test_a_time_that_has_passed_is_an_error():
    net = Scheduler()
    net.run(10)
    for add in (net.add, net.follow):
        with pytest.raises(ValueError, match="has already passed"):
            add(9, print, ())
    assert len(net) == 0
