"""`make(**settings)`: a stack and a scripted peer, with plain sequence numbers and with some that pass through zero."""

from tests.pystack_c.tcp.conftest import make  # noqa: F401
