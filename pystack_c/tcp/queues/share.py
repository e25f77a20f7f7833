"""The share of each peer in the memory of all connections, while it is scarce (see memory.py)."""

from pystack_c.base.address import key
from pystack_c.core import Core

# The bytes that a connection's buffers may hold in each direction, however scarce memory is (Linux: the minimum of
# tcp_rmem and tcp_wmem).
LEAST = 4096
# A peer counts as a large user of memory if it holds more than this fraction (1/64) of tcp_mem_high.
LARGE = 64


def over_share(core: Core, addr: int, n: int) -> bool:
    """Return True if `n` more bytes would exceed the memory share of the peer `addr` while memory is scarce.

    queues/memory.py explains the shares.
    """
    if not core.tcp_pressure:
        return False
    share = core.config.tcp_mem_high * core.config.tcp_mem_share // 100
    if core.tcp_memory + n <= share:
        return False
    if core.tcp_memory + n > (share + core.config.tcp_mem_high) // 2:
        # Little memory is left, because some peers took their shares before others arrived. Allow only the minimum.
        share = 0
    elif core.tcp_large > 1:
        share //= core.tcp_large
    if share < core.config.tcp_mem_high // LARGE:
        share = core.config.tcp_mem_high // LARGE
    return core.tcp_peers.get(key(addr), 0) + n > share  # type: ignore[no-any-return]
