"""The fields that the stepper shows of a connection and of an ARP entry, and how they are read. `shown` reads those of a connection.

Reading an attribute changes nothing, so a probe may do it in the middle of the core's work.
"""

from typing import Any

from pystack_c.const import NUD_FAILED, NUD_INCOMPLETE, NUD_NONE
from pystack_c.link import neighbor

#: attributes of a Tcb, shown by their names in the core (times are ns, sizes bytes)
ATTRIBUTES = tuple(
    """snd_una snd_nxt snd_wnd snd_wl1 snd_wl2 max_window iss irs rcv_nxt rcv_adv snd_wscale rcv_wscale mss peer_mss
    rcv_mss path_mtu sack_ok ts_ok ts_recent ecn_ok ecn_echo srtt rttvar rto min_rtt backoff retries cwnd ssthresh recover
    dupacks tlp_out undo_possible probes prior_cwnd congestion pacing_rate delivered fin_pending fin_sent fin_received
    shut_rd shut_wr ack_now quickack nodelay cork fastopen syn_data total_retrans bytes_sent bytes_acked
    bytes_received so_error""".split()
)
#: fields that are computed
COMPUTED = (
    "state", "ca_state", "rcv_wnd", "in_flight", "unsent", "sendbuf", "recvbuf", "ooo", "sacked", "lost", "retransmitted",
    "syn_queue", "accept_queue", "timers",
)  # fmt: skip
FIELDS = COMPUTED + ATTRIBUTES
TIMERS = FIELDS.index("timers")
#: fields that hold sequence numbers; a view may show them relative to iss or irs
SEND_SEQUENCE = ("snd_una", "snd_nxt", "snd_wl2", "recover")
RECEIVE_SEQUENCE = ("rcv_nxt", "rcv_adv", "snd_wl1")
#: those that are 0 until they are set for the first time, which is no sequence number
UNSET = ("recover", "snd_wl1", "snd_wl2")

ARP_FIELDS = ("state", "mac", "iface", "probes", "waiting", "timers")


def arp(entry: Any) -> tuple[Any, ...]:
    """Return the values of ARP_FIELDS."""
    known = entry.state & (NUD_INCOMPLETE | NUD_FAILED | NUD_NONE) == 0 and entry.state != NUD_NONE
    mac = entry.mac.to_bytes(6, "big").hex(":") if known else ""
    timers = (("arp", entry.timer.deadline),) if entry.timer.deadline >= 0 else ()
    waiting = 0 if entry.queue is None else len(entry.queue)
    return (neighbor.STATE_NAMES[entry.state], mac, entry.iface.name, entry.probes, waiting, timers)


def as_dict(names: tuple[str, ...], values: "tuple[Any, ...] | list[Any]") -> dict[str, Any]:
    """Return a dict of field names and values, with the timers as a dict of deadlines."""
    found = dict(zip(names, values))
    found["timers"] = dict(found["timers"])
    return found
