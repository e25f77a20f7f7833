"""Probe events about changes to a connection's variables, with one function for each variable.

Call the function after the change, with the old value. It emits nothing if nothing has changed.
"""

from pystack_c.tcp.loss.rtt import backed_off
from pystack_c.tcp.tcb import Tcb


def cwnd(tcb: Tcb, old: int, ssthresh: int, why: str, rfc: str) -> None:
    """Report a change of cwnd from `old`, or of ssthresh from `ssthresh` (bytes)."""
    if tcb.core.probe is not None and (tcb.cwnd != old or tcb.ssthresh != ssthresh):
        fields = {"old": old, "new": tcb.cwnd, "ssthresh": tcb.ssthresh}
        tcb.core.emit("tcp.cwnd", tcb.subject(), tcb.ident, why, rfc, fields)


def rto(tcb: Tcb, old: int, why: str, rfc: str) -> None:
    """Report a change of the timeout, with backoff, from `old` (ns), if no round-trip sample caused it."""
    if tcb.core.probe is None:
        return
    new = backed_off(tcb)
    if new != old:
        tcb.core.emit("tcp.rto", tcb.subject(), tcb.ident, why, rfc, {"old": old, "new": new})


def window(tcb: Tcb, old: int, why: str, rfc: str) -> None:
    """Report a change of the peer's window from `old` bytes."""
    if tcb.core.probe is not None and tcb.snd_wnd != old:
        tcb.core.emit("tcp.window", tcb.subject(), tcb.ident, why, rfc, {"old": old, "new": tcb.snd_wnd})


def mss(tcb: Tcb, old: int, mtu: int) -> None:
    """Report a change of the segment size from `old` bytes. `mtu` is the packet size that the path carries."""
    if tcb.core.probe is not None and tcb.mss != old:
        why = f"the path carries packets of {mtu} bytes, the peer takes segments of {tcb.peer_mss}"
        if tcb.ts_ok:
            why += ", and timestamps take 12"
        tcb.core.emit("tcp.mss", tcb.subject(), tcb.ident, why, "RFC 9293 3.7.1", {"old": old, "new": tcb.mss})


def mtu_search(tcb: Tcb, action: str, size: int, why: str, rfc: str) -> None:
    """Report a step in the search for the path MTU (mtuprobe.py)."""
    fields = {"action": action, "size": size}
    tcb.core.emit("tcp.mtu", tcb.subject(), tcb.ident, why, rfc, fields)


def fastopen(tcb: Tcb, action: str, why: str, rfc: str) -> None:
    """Report a decision about Fast Open."""
    if tcb.core.probe is not None:
        tcb.core.emit("tcp.fastopen", tcb.subject(), tcb.ident, why, rfc, {"action": action})


def ecn(tcb: Tcb, action: str, why: str, rfc: str) -> None:
    """Report a decision about congestion marks."""
    if tcb.core.probe is not None:
        tcb.core.emit("tcp.ecn", tcb.subject(), tcb.ident, why, rfc, {"action": action})


def listen(listener: Tcb, queue: str, why: str, rfc: str) -> None:
    """Report a change of a listener's queue ("syn" or "accept")."""
    if listener.core.probe is not None and listener.listener is not None:
        both = listener.listener
        length = len(both.syn_queue) if queue == "syn" else len(both.accept_queue)
        fields = {"queue": queue, "length": length}
        listener.core.emit("tcp.listen", listener.subject(), listener.ident, why, rfc, fields)


def received(tcb: Tcb, kind: str, seq: int, length: int, why: str, rfc: str) -> None:
    """Report an advance of RCV.NXT ("tcp.data", "tcp.fin") or SND.UNA ("tcp.acked"), early data, or urgent data."""
    if tcb.core.probe is not None:
        tcb.core.emit(kind, tcb.subject(), tcb.ident, why, rfc, {"seq": seq, "length": length})


def soft_error(tcb: Tcb, error: int, why: str, rfc: str) -> None:
    """Report an ICMP error that does not end the connection, or the error that an opening fails with."""
    if tcb.core.probe is not None:
        tcb.core.emit("icmp.error", tcb.subject(), tcb.ident, why, rfc, {"error": error})
