"""A stack that has nothing but its loopback: no device, no rights needed."""

from collections.abc import Iterator

import pytest

from pystack.running import Running, up


@pytest.fixture
def local() -> Iterator[Running]:
    """The default stack of the test; one that failed by itself fails the test."""
    with up(tap=None, name="local") as running:
        yield running
        assert running.host.failure is None
