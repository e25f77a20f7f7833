"""Numbers in readable form: times, sequence numbers, the fields of a connection and their meanings."""

import re
from typing import Any

from pystack.stepper import snapshot

M32 = 0xFFFFFFFF

#: the fields of a connection in the order shown, with their meanings; the other fields follow
FIELDS = {
    "state": "of the connection",
    "ca_state": "phase of loss recovery",
    "snd_una": "oldest byte not acknowledged",
    "snd_nxt": "next byte to send",
    "snd_wnd": "the peer's window",
    "rcv_nxt": "next byte expected",
    "rcv_wnd": "the window offered",
    "cwnd": "congestion window",
    "ssthresh": "end of slow start",
    "in_flight": "sent, still in flight",
    "unsent": "bytes not sent yet",
    "srtt": "smoothed round trip",
    "rttvar": "round-trip variation",
    "rto": "retransmission timeout",
    "backoff": "doublings of the RTO",
    "sacked": "bytes SACKed",
    "lost": "bytes marked lost",
    "retransmitted": "bytes retransmitted",
    "dupacks": "duplicate ACKs",
    "recover": "recovery ends here",
    "ooo": "bytes out of order",
    "recvbuf": "bytes not read yet",
    "sendbuf": "bytes not ACKed yet",
    "total_retrans": "retransmissions so far",
    "mss": "largest segment to send",
    "congestion": "the algorithm",
}
TIMES = ("srtt", "rttvar", "rto", "min_rtt")
SEGMENTS = ("cwnd", "ssthresh", "in_flight", "sacked", "lost", "retransmitted")
INFINITE = 1 << 30


def ms(ns: int) -> str:
    """Format nanoseconds as milliseconds, to the microsecond."""
    return f"{ns / 1_000_000:.3f}"


def since(time: int, start: int) -> str:
    """Format a time as seconds since the start, as everywhere in the stepper."""
    return f"{(time - start) / 1e9:.6f}"


def value(name: str, raw: Any, tcb: dict[str, Any]) -> str:
    """Format a field's value: times in ms, sequence numbers relative to the initial one, other values unchanged."""
    if raw is None:
        return "-"
    if name in TIMES:
        return f"{ms(raw)} ms" if raw > 0 else "-"
    if name in snapshot.UNSET and not raw:
        return "-"
    if name in snapshot.SEND_SEQUENCE:
        return relative(raw, tcb.get("iss") or 0)
    if name in snapshot.RECEIVE_SEQUENCE:
        return relative(raw, tcb.get("irs") or 0)
    if name == "ssthresh" and raw >= INFINITE:
        return "infinite"
    if isinstance(raw, bool):
        return "yes" if raw else "no"
    return str(raw)


def relative(number: int, base: int) -> str:
    """Return a sequence number relative to the initial one."""
    distance = (number - base) & M32
    return str(distance if distance < 1 << 31 else distance - (1 << 32))


def segments(name: str, raw: Any, tcb: dict[str, Any]) -> str:
    """Format a size in segments, if that helps."""
    mss = tcb.get("mss") or 0
    if name not in SEGMENTS or not isinstance(raw, int) or not raw or not mss or raw >= INFINITE:
        return ""
    return f"{raw / mss:.1f} seg"


_OPTIONS = re.compile(r"(?:, win \d+)?, options \[([^][]*)\]")
#: the parts that a label can omit, in the order in which they are omitted
_LESS = (
    re.compile(r", options \[[^][]*\]"),
    re.compile(r", win \d+"),
    re.compile(r", length \d+"),
    re.compile(r", urg \d+"),
    re.compile(r"\.\.\..*"),
    re.compile(r", ack \d+"),
)


def label(summary: str, room: int) -> str:
    """Describe a frame in few words for the arrow of a ladder: tcpdump's line, shortened step by step until it fits."""
    text = re.sub(r"^IP [\d.]+ > [\d.]+: ", "", summary)
    text = text.replace("Flags ", "").replace("], ", "] ", 1).replace("seq ", "")
    text = _OPTIONS.sub(lambda found: " +SACK" if re.search(r"sack \d", found[1]) else found[0], text)
    text = re.sub(r", length 0$", "", text)
    for pattern in _LESS:
        if len(text) <= room:
            break
        text = pattern.sub("", text, count=1)
    return text if len(text) <= room else text[: max(room - 1, 0)] + "~"


def connection(key: str) -> str:
    """Shorten a connection's key: "a:40000 > 10.0.0.2:80"."""
    match = re.fullmatch(r"(\S+) tcp [\d.]+:(\d+)-([\d.]+:\d++)(.*)", key)
    if match is None:
        return key
    host, port, peer, number = match.groups()
    return f"{host}:{port} listens{number}" if peer == "0.0.0.0:0" else f"{host}:{port} > {peer}{number}"
