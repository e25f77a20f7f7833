"""Initial sequence numbers (RFC 9293 section 3.4.1), and the start of the timestamp clock (RFC 7323 section 7.1)."""

from pystack_c.base.seqnum import seq_add
from pystack_c.tcp import quirks
from pystack_c.tcp.tables import TcpTables
from pystack_c.tcp.tcb import Tcb
from pystack_c.tcp.timestamps import ts_now


def start_sequence(tcb: Tcb, old: Tcb | None) -> None:
    """Set the ISS (RFC 9293 section 3.4.1) and the timestamp offset (RFC 7323 5.4, 7.1).

    If the connection replaces `old` in TIME-WAIT, the ISS lies beyond all sequence numbers that we sent there,
    whichever side opens. So no old segment of ours can be mistaken for a new one (RFC 1122 4.2.2.13 (1)). This rule
    precedes the setting tcp_isn.
    """
    tables: TcpTables = tcb.core.tcp
    tcb.iss = tables.isn(tcb) if old is None else seq_add(old.snd_nxt, 65537)
    tcb.snd_una = tcb.iss
    tcb.snd_nxt = tcb.iss
    tcb.snd_up = tcb.iss
    tcb.snd_sml = tcb.iss
    tcb.cwnd_round = tcb.iss
    tcb.snd_wl2 = tcb.iss
    tcb.ts_offset = tables.ts_offset(tcb)
    tcb.syn_stamp = ts_now(tcb)
    tcb.rcv_limit = quirks.first_window(tcb)
