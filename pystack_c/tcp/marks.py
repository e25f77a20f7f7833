"""The sequence numbers that a connection keeps, and how each stays comparable (RFC 9293 section 3.4).

Two sequence numbers can be compared while they are less than 2 GB apart. A number that is kept for longer than a window
falls behind, and after 2 GB it appears to be ahead. So this module declares each number that a connection keeps, as one
of three kinds:

SENT      a number of our sequence space, carried along behind SND.UNA
RECEIVED  a number of the peer's sequence space, carried along behind RCV.NXT
OTHERS    a number that cannot fall behind, or that does no harm if it does, with the reason

A congestion control algorithm lists its own numbers in `CongestionControl.marks`. They are carried along behind
SND.UNA, too.

"Carried along" means: whenever SND.UNA (or RCV.NXT) enters another 256 MB of its space, each number more than 512 MB
behind it is moved up to 512 MB behind it. No rule uses a number that is so far behind, so the move changes no decision.
At most one window, which is 1 GB, lies ahead of SND.UNA. So all numbers of a space stay within 0.75 GB behind and 1 GB
ahead, and any two of them can be compared.

`tools/pxd_lint.py` finds a sequence number that is not declared.
"""

from typing import Any

from pystack_c.base.seqnum import seq_add, seq_diff
from pystack_c.tcp.tcb import Tcb

#: Numbers that are farther behind are moved up to this distance, in bytes.
BEHIND = 512 << 20

SENT = (
    "snd_up",
    "snd_sml",
    "snd_wl2",
    "cwnd_round",
    "recover",
    "rack_end",
    "rack_fack",
    "rack_dsack_seq",
    "tlp_end",
    "undo_end",
    "undo_marker",
    "dsack_end",
    "frto_end",
    "ecn_recover",
)

RECEIVED = (
    "snd_wl1",
    "rcv_up",
    "last_ack_sent",
    "rcv_rtt_seq",
    "fin_expected_seq",
)

OTHERS = {
    # The edges of the sequence spaces.
    "snd_una": "SND.UNA",
    "snd_nxt": "SND.NXT, at most a window ahead of SND.UNA",
    "rcv_nxt": "RCV.NXT",
    "rcv_adv": "the window's right edge: if it is behind RCV.NXT, the window is closed, and RCV.NXT stays",
    # Numbers that matter only at the start or at the end of a connection.
    "iss": "compared until our SYN is acknowledged, and with SND.UNA while bytes_acked is 0",
    "irs": "compared only for equality, with the sequence number of a SYN",
    "fin_seq": "valid while fin_sent is true: nothing is sent after it",
    # Numbers in records.
    "seq": "in a record in flight, an out-of-order piece or a packet: inside the window, and removed with it",
    "end": "in a record in flight, or a path MTU probe: as seq",
    "start": "in a path MTU probe: valid while its size is not 0, which is until it is acknowledged",
    "left": "in a range that the peer SACKed: inside the window, and removed with it",
    "right": "the end of such a range, or of a run of out-of-order pieces: inside the window",
    "edge": "the end of a walk over the scoreboard: moved up to the end of each record that is acknowledged",
    "whole": "as edge",
    "counted": "as edge",
    "ack": "in a packet",
    "sacks": "blocks beyond RCV.NXT: forget_sacks removes the others whenever RCV.NXT advances",
    "dsack": "reported once, in the next segment",
    "lost_end": "the end of the range that was last marked as lost: compared only for equality, within a round trip",
    "known": "in a receive buffer: reported or forgotten with the next segment",
    # 32-bit numbers that are not sequence numbers.
    "rcv_wnd_told": "a number of bytes",
    "ts_recent": "a time of the peer's clock: invalid after 24 days (TS_RECENT_VALID)",
    "ts_offset": "a distance between two clocks",
    "syn_stamp": "a time of our clock: compared in SYN-SENT",
    "undo_stamp": "a time of our clock: compared in the recovery that set it",
    "rcv_rtt_echo": "a time of our clock: compared only for equality",
}


def sent(tcb: Tcb) -> None:
    """Carry along the numbers of our sequence space, because SND.UNA entered another 256 MB."""
    _carry(tcb, SENT, tcb.snd_una)
    if tcb.cc is not None:
        _carry(tcb.cc, tcb.cc.marks, tcb.snd_una)


def received(tcb: Tcb) -> None:
    """Carry along the numbers of the peer's sequence space, because RCV.NXT entered another 256 MB."""
    _carry(tcb, RECEIVED, tcb.rcv_nxt)


def _carry(holder: Any, names: tuple[str, ...], edge: int) -> None:
    """Move up the numbers that are too far behind `edge`.

    A name may have dots. An attribute that is None is skipped.
    """
    for name in names:
        owner = holder
        *path, last = name.split(".")
        for part in path:
            owner = getattr(owner, part)
            if owner is None:
                break
        value = None if owner is None else getattr(owner, last)
        if value is not None and seq_diff(edge, value) > BEHIND:
            setattr(owner, last, seq_add(edge, -BEHIND))
