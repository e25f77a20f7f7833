"""What the probe hears of changes to a connection's variables: one place for each, whoever changes them.

Each function is called after the change, with the old value, and says nothing where nothing changed.
"""

from pystack_c.tcp.loss.rtt import backed_off
from pystack_c.tcp.tcb import Tcb


def cwnd(tcb: Tcb, old: int, ssthresh: int, why: str, rfc: str) -> None:
    """cwnd moved from `old`, or the slow start threshold from `ssthresh`."""
    if tcb.core.probe is not None and (tcb.cwnd != old or tcb.ssthresh != ssthresh):
        fields = {"old": old, "new": tcb.cwnd, "ssthresh": tcb.ssthresh}
        tcb.core.emit("tcp.cwnd", tcb.subject(), tcb.ident, why, rfc, fields)


def rto(tcb: Tcb, old: int, why: str, rfc: str) -> None:
    """The timeout in force, backoff included, was `old`, and no round trip was measured."""
    if tcb.core.probe is None:
        return
    new = backed_off(tcb)
    if new != old:
        tcb.core.emit("tcp.rto", tcb.subject(), tcb.ident, why, rfc, {"old": old, "new": new})


def window(tcb: Tcb, old: int, why: str, rfc: str) -> None:
    """The peer's window was `old`."""
    if tcb.core.probe is not None and tcb.snd_wnd != old:
        tcb.core.emit("tcp.window", tcb.subject(), tcb.ident, why, rfc, {"old": old, "new": tcb.snd_wnd})


def mss(tcb: Tcb, old: int, mtu: int) -> None:
    """The size of our segments was `old`; the path carries `mtu`."""
    if tcb.core.probe is not None and tcb.mss != old:
        why = f"the path carries packets of {mtu} bytes, the peer takes segments of {tcb.peer_mss}"
        if tcb.ts_ok:
            why += ", and timestamps take 12"
        tcb.core.emit("tcp.mss", tcb.subject(), tcb.ident, why, "RFC 9293 3.7.1", {"old": old, "new": tcb.mss})


def mtu_search(tcb: Tcb, action: str, size: int, why: str, rfc: str) -> None:
    """The search for the path MTU took a step (mtuprobe.py)."""
    fields = {"action": action, "size": size}
    tcb.core.emit("tcp.mtu", tcb.subject(), tcb.ident, why, rfc, fields)


def fastopen(tcb: Tcb, action: str, why: str, rfc: str) -> None:
    """A decision about Fast Open."""
    if tcb.core.probe is not None:
        tcb.core.emit("tcp.fastopen", tcb.subject(), tcb.ident, why, rfc, {"action": action})


def ecn(tcb: Tcb, action: str, why: str, rfc: str) -> None:
    """A decision about congestion marks."""
    if tcb.core.probe is not None:
        tcb.core.emit("tcp.ecn", tcb.subject(), tcb.ident, why, rfc, {"action": action})


def listen(listener: Tcb, queue: str, why: str, rfc: str) -> None:
    """A listener's queue ("syn" or "accept") changed."""
    if listener.core.probe is not None and listener.listener is not None:
        both = listener.listener
        length = len(both.syn_queue) if queue == "syn" else len(both.accept_queue)
        fields = {"queue": queue, "length": length}
        listener.core.emit("tcp.listen", listener.subject(), listener.ident, why, rfc, fields)


def received(tcb: Tcb, kind: str, seq: int, length: int, why: str, rfc: str) -> None:
    """RCV.NXT moved ("tcp.data", "tcp.fin"), or SND.UNA ("tcp.acked"), or data waits out of order ("tcp.ooo")."""
    if tcb.core.probe is not None:
        tcb.core.emit(kind, tcb.subject(), tcb.ident, why, rfc, {"seq": seq, "length": length})


def soft_error(tcb: Tcb, error: int, why: str, rfc: str) -> None:
    """An ICMP error was believed as far as it goes."""
    if tcb.core.probe is not None:
        tcb.core.emit("icmp.error", tcb.subject(), tcb.ident, why, rfc, {"error": error})
