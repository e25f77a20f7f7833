"""Cases of what a counter counts: each with its cause, and without it.

    cases = Cases()

    @cases.counts(TcpOutRsts=1)
    def a_segment_for_nobody(cause):
        peer = Peer()
        yield peer  # the scene is set: from here on it is counted
        if cause:
            peer.segment(ACK, 1, 1)

`counters` of what is yielded, or of its stack, are looked at.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pystack_c.counters import NAMES

Case = Callable[[bool], Iterator[Any]]


class Cases:
    """The cases of a module: `all` is for pytest.mark.parametrize(("case", "expected"), ...)."""

    def __init__(self) -> None:
        self.all: list[Any] = []

    def counts(self, **expected: int) -> Callable[[Case], Case]:
        """With its cause the case moves these counters by so much; without it none of them."""
        assert set(expected) <= set(NAMES)

        def take(case: Case) -> Case:
            self.all.append(pytest.param(case, expected, id=case.__name__))
            return case

        return take


def check(case: Case, expected: dict[str, int], cause: bool) -> None:
    """Run a case, and compare."""
    steps = case(cause)
    peer = next(steps)
    counters = getattr(peer, "stack", peer).counters
    before = {name: getattr(counters, name) for name in expected}
    assert next(steps, None) is None
    moved = {name: getattr(counters, name) - before[name] for name in expected}
    assert moved == (expected if cause else dict.fromkeys(expected, 0))
