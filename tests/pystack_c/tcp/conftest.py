"""Every test that asks for `make` runs with plain sequence numbers, and with both sides' passing through zero."""

from functools import partial

import pytest

from pystack.testing.peer import Peer


class Made(Peer):
    """A Peer whose connections begin at a chosen IRS."""

    irs = 5000

    def established(self, *args, **kwargs):
        return super().established(*args, **{"irs": self.irs, **kwargs})


class Wrapping(Made):
    irs = 2**32 - 3


@pytest.fixture(params=["plain", "wrap"])
def make(request):
    """make(**settings) -> Peer"""
    if request.param == "plain":
        return partial(Made, tcp_isn=1000)
    return partial(Wrapping, tcp_isn=2**32 - 2)
