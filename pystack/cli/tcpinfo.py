"""The line that `ss -i` prints below a TCP socket, from the fields of struct tcp_info."""

from collections.abc import Iterator
from typing import Any

#: values that mean "no limit" and "not measured"
NO_LIMIT = (1 << 64) - 1
NO_THRESHOLD = 0x7FFFFFFF
NO_RTT = 0xFFFFFFFF
#: bits of tcpi_options, in the order in which ss names them
OPTIONS = ((1, "ts"), (2, "sack"), (8, "ecn"), (16, "ecnseen"))
WSCALE = 4
#: fields that are printed as they are if they are not 0, in the order of ss: sums, and losses at the end of the line
COUNTS = (
    "bytes_sent", "bytes_retrans", "bytes_acked", "bytes_received", "segs_out", "segs_in", "data_segs_out",
    "data_segs_in",
)  # fmt: skip
LOSSES = ("lost", "sacked", "dsack_dups", "reord_seen", "rcv_ooopack")


def line(info: dict[str, Any], congestion: str = "") -> str:
    """Return a socket's tcp_info as ss prints it: rates with units, times in ms, and nothing that is 0 or not set."""
    values = {name.removeprefix("tcpi_"): value for name, value in info.items()}
    return " ".join(
        [*_options(values, congestion), *_path(values), *_set(values, COUNTS), *_rates(values), *_tail(values)]
    )


def _ms(us: int) -> str:
    return f"{us / 1000:.6g}"


def _options(v: dict[str, Any], congestion: str) -> Iterator[str]:
    yield from (name for bit, name in OPTIONS if v["options"] & bit)
    if congestion:
        yield congestion
    if v["options"] & WSCALE:
        yield f"wscale:{v['snd_wscale']},{v['rcv_wscale']}"


def _path(v: dict[str, Any]) -> Iterator[str]:
    yield f"rto:{_ms(v['rto'])}"
    if v["backoff"]:
        yield f"backoff:{v['backoff']}"
    if v["rtt"]:
        yield f"rtt:{_ms(v['rtt'])}/{_ms(v['rttvar'])}"
    if v["ato"]:
        yield f"ato:{_ms(v['ato'])}"
    yield f"mss:{v['snd_mss']} pmtu:{v['pmtu']} rcvmss:{v['rcv_mss']} advmss:{v['advmss']} cwnd:{v['snd_cwnd']}"
    if v["snd_ssthresh"] < NO_THRESHOLD:
        yield f"ssthresh:{v['snd_ssthresh']}"


def _set(v: dict[str, Any], names: tuple[str, ...]) -> Iterator[str]:
    yield from (f"{name}:{v[name]}" for name in names if v[name])


def _rate(value: float) -> str:
    """Return bits per second with a unit."""
    for unit in ("", "K", "M"):
        if value < 1000:
            return f"{value:.3g}{unit}bps"
        value /= 1000
    return f"{value:.4g}Gbps"


def _rates(v: dict[str, Any]) -> Iterator[str]:
    if v["rtt"]:
        yield f"send {_rate(v['snd_cwnd'] * v['snd_mss'] * 8e6 / v['rtt'])}"
    for name, short in (("data_sent", "lastsnd"), ("data_recv", "lastrcv"), ("ack_recv", "lastack")):
        if v[f"last_{name}"]:
            yield f"{short}:{v[f'last_{name}']}"
    if 0 < v["pacing_rate"] < NO_LIMIT:
        yield f"pacing_rate {_rate(v['pacing_rate'] * 8)}"
    if v["delivery_rate"]:
        yield f"delivery_rate {_rate(v['delivery_rate'] * 8)}"
    if v["delivered"]:
        yield f"delivered:{v['delivered']}"
    if v["delivery_rate_app_limited"]:
        yield "app_limited"
    for name, short in (("busy_time", "busy"), ("rwnd_limited", "rwnd_limited"), ("sndbuf_limited", "sndbuf_limited")):
        if v[name]:
            yield f"{short}:{v[name] // 1000}ms"


def _tail(v: dict[str, Any]) -> Iterator[str]:
    yield from _set(v, ("unacked",))
    if v["retrans"] or v["total_retrans"]:
        yield f"retrans:{v['retrans']}/{v['total_retrans']}"
    yield from _set(v, LOSSES)
    if v["rcv_rtt"]:
        yield f"rcv_rtt:{_ms(v['rcv_rtt'])}"
    yield f"rcv_space:{v['rcv_space']} rcv_ssthresh:{v['rcv_ssthresh']}"
    if v["notsent_bytes"]:
        yield f"notsent:{v['notsent_bytes']}"
    if v["min_rtt"] not in (0, NO_RTT):
        yield f"minrtt:{_ms(v['min_rtt'])}"
    yield f"snd_wnd:{v['snd_wnd']}"
    if v["rcv_wnd"]:
        yield f"rcv_wnd:{v['rcv_wnd']}"
