"""What each peer may hold of the memory of all connections, while that is scarce (see memory.py)."""

from pystack_c.core import Core

# What a connection's buffers may hold each way, however scarce memory is (Linux: the least of tcp_rmem and of tcp_wmem).
LEAST = 4096
# A peer holds much that holds more than this part of tcp_mem_high.
LARGE = 64


def over_share(core: Core, addr: int, n: int) -> bool:
    """Under pressure: would a peer's connections hold more than its share with `n` bytes more? (See memory.)"""
    if not core.tcp_pressure:
        return False
    share = core.config.tcp_mem_high * core.config.tcp_mem_share // 100
    if core.tcp_memory + n <= share:
        return False
    if core.tcp_memory + n > (share + core.config.tcp_mem_high) // 2:
        # (Some had their part before others came.)
        share = 0
    elif core.tcp_large > 1:
        share //= core.tcp_large
    if share < core.config.tcp_mem_high // LARGE:
        share = core.config.tcp_mem_high // LARGE
    return core.tcp_peers.get(addr, 0) + n > share  # type: ignore[no-any-return]
