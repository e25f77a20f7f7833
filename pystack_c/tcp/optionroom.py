"""The SACK and AccECN options of the next segment, and the room that they take."""

from pystack_c.tcp import quirks
from pystack_c.tcp.ecn import accecn
from pystack_c.tcp.tcb import Tcb


def most_blocks(tcb: Tcb, data: bool) -> int:
    """Return how many SACK blocks fit into a segment: 3 with timestamps, otherwise 4.

    In a segment with data, the blocks leave at least 8 bytes of the MSS for data. A path MTU of 68 has less room than 3
    blocks take. RFC 2018 3: the option contains as many blocks as fit.
    """
    most = 3 if tcb.ts_ok else 4
    if not data or tcb.mss >= 8 + 4 + 8 * most:
        return most
    return 0 if tcb.mss < 8 + 4 + 8 else (tcb.mss - 8 - 4) // 8


def sack_blocks(tcb: Tcb, data: bool) -> int:
    """Return how many SACK blocks the next segment carries."""
    if not tcb.sack_ok or (tcb.sacks is None and tcb.dsack is None):
        return 0
    count = len(tcb.sacks) if tcb.sacks is not None else 0
    if tcb.dsack is not None:
        count += 1
    most = most_blocks(tcb, data)
    return count if count < most else most


def sack_option_len(tcb: Tcb) -> int:
    """Return the bytes of the SACK option in a retransmission."""
    count = sack_blocks(tcb, True)
    return 4 + 8 * count if count > 0 else 0


def accecn_option(tcb: Tcb, data: bool) -> int:
    """Return the AccECN option of the next segment (see accecn.choose), or -1.

    Two SACK blocks take precedence over it (RFC 9768 3.2.3.3).
    """
    if not accecn.due(tcb, data) or (data and tcb.mss < 128):
        return -1
    blocks = sack_blocks(tcb, data)
    room = 28 if tcb.ts_ok else 40
    if quirks.option_before_sack(tcb):
        return accecn.fit(tcb, room - (4 + 8 * blocks if blocks > 0 else 0), blocks)
    if blocks > 2:
        blocks = 2
    if blocks > 0:
        room -= 4 + 8 * blocks
    return accecn.choose(tcb, room, tcb.accecn.opt_due != 0)


def blocks_beside(tcb: Tcb, blocks: int, chosen: int) -> int:
    """Return how many of `blocks` SACK blocks fit beside the AccECN option `chosen`."""
    room = (28 if tcb.ts_ok else 40) - accecn.size(chosen & 3)
    while blocks > 0 and 4 + 8 * blocks > room:
        blocks -= 1
    return blocks


def new_data_options(tcb: Tcb) -> int:
    """Return the bytes of the SACK and AccECN options in the next segment with new data."""
    if tcb.accecn is None:
        return sack_option_len(tcb)
    blocks = sack_blocks(tcb, True)
    chosen = accecn_option(tcb, True)
    n = 0
    if chosen >= 0:
        blocks = blocks_beside(tcb, blocks, chosen)
        n = accecn.size(chosen & 3)
    return n + 4 + 8 * blocks if blocks > 0 else n
