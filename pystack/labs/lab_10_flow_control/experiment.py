"""A receiver with a window of 65,535 bytes: far away, asleep, and slow."""

from functools import cache
from typing import Any

from pystack.labs.looks import LabLook
from pystack.labs.values import LabControl, LabValue
from pystack.testing.lab import MS, Lab, S, lab_net, pattern, sleep

R, SHORT = 100 * MS, 10 * MS
WINDOW = 65_535
MSS = 1460
SECONDS = 10
RTO, RTO_SHORT = 205 * MS, 215 * MS  # 200 ms more than the smoothed round trip, in which some ACKs are delayed


def network(rtt: int = R, **settings: Any) -> Lab:
    """Build the network: a client `a` and a server `b`, half a round trip apart each way."""
    return lab_net(rtt // 2, **settings)


def arrived(window: int = WINDOW, rtt: int = R) -> int:
    """Return the bytes that arrive in 10 s, after a second for slow start, at a receiver that announces at most `window`."""
    lab = network(rtt, tcp_window_scaling=window > WINDOW, server={"tcp_rmem": window})
    client, server = lab.connected()
    got = 0

    def put():
        yield client.sendall(pattern(3 * SECONDS * 1_000_000))

    def take():
        nonlocal got
        while True:
            got += len((yield server.recv(1 << 20)))

    lab.spawn(put())
    lab.spawn(take())
    lab.net.run(until=lab.net.now + S)
    before = got
    lab.net.run(until=lab.net.now + SECONDS * S)
    return got - before


@cache
def asleep(rtt: int = 0, lose_update: bool = False, persist: bool = True) -> dict[str, Any]:
    """Let the reader sleep for 10 s, and then read. Returns what happened."""
    lab = network(rtt, tcp_window_scaling=False, server={"tcp_rmem": WINDOW}, client={"tcp_persist": persist})
    client, server = lab.connected()
    start, size = lab.net.now, 300_000
    if lose_update:
        lab.net.after(SECONDS * S - 1, lab.link.ba.drop, 1)
    held = 0

    def put():
        yield client.sendall(pattern(size))

    def take():
        nonlocal held
        yield sleep(SECONDS * S)
        held = server.endpoint.recvbuf.used
        got = b""
        while len(got) < size:
            got += yield server.recv(WINDOW)
        assert got == pattern(size)

    lab.spawn(put())
    reader = lab.spawn(take())
    lab.net.run(until=start + (SECONDS - 1) * S)
    # A probe is a segment without data that is one below what was acknowledged.
    below = (client.endpoint.snd_una - 1) & 0xFFFFFFFF
    probes = [seg.time for seg in lab.log.sent["a"] if seg.pure_ack and seg.seq == below]
    closed = next(seg.time for seg in lab.log.got["a"] if seg.window == 0)
    counters = lab.b.stack.counters
    closings = [(counters.TcpExtTCPToZeroWindowAdv, counters.TcpExtTCPFromZeroWindowAdv)]
    lab.net.run(until=start + 3600 * S)
    closings.append((counters.TcpExtTCPToZeroWindowAdv, counters.TcpExtTCPFromZeroWindowAdv))
    data = [seg.time for seg in lab.log.data("a") if seg.time > start + (SECONDS - 1) * S]
    gaps = [late - early for early, late in zip([closed, *probes], probes)]
    resumed = data[0] - probes[-1] if data else 0
    return {"held": held, "gaps": gaps, "resumed": resumed, "done": int(reader.done), "closings": closings}


def single_bytes(size: int = 20_000, buffer: int = 5 * MSS, **settings: Any) -> list[int]:
    """Let the reader take one byte in each millisecond. Returns the sizes of the segments but for the last one."""
    lab = network(2 * MS, server={"tcp_rmem": buffer}, **settings)
    client, server = lab.connected()

    def put():
        yield client.sendall(pattern(size))

    def take():
        for _ in range(size):
            yield server.recv(1)
            yield sleep(MS)

    lab.run(put(), take())
    sizes = [len(seg) for seg in lab.log.data("a")]
    assert sum(sizes) == size
    return sizes[:-1]


MBIT = WINDOW * 8 / (R / S) / 1e6
VALUES = [
    LabValue("rate", "How fast is the transfer?", "65,535 * 8 / R", MBIT, "Mbit/s", 0.05 * MBIT),
    LabValue("wide", "How fast with twice the window?", "2 * 65,535 * 8 / R", 2 * MBIT, "Mbit/s", 0.1 * MBIT),
    LabValue("far", "How fast with twice the round trip?", "65,535 * 8 / 2 R", MBIT / 2, "Mbit/s", 0.05 * MBIT / 2),
    LabValue(
        "full",
        "Only full segments leave. How many bytes arrive in 10 s?",
        "44 * 1,460 * 10 s / R",
        WINDOW // MSS * MSS * SECONDS * S // R,
        "bytes",
    ),
    LabValue("held", "How many bytes wait for the reader that sleeps?", "the window", WINDOW, "bytes"),
    LabValue("first", "When does the first probe follow?", "RTO", RTO),
    LabValue("gaps", "The five gaps between probes, in multiples of the first?", "2^n", [1, 2, 4, 8, 16], ""),
    LabValue("smallest", "A reader of single bytes: how long is the smallest segment?", "MSS", MSS, "bytes"),
    LabValue(
        "resumed",
        "R = 10 ms and an RTO of 215 ms. The window update after 10 s is lost: how long after the fifth probe comes data?",
        "32 RTO + R",
        32 * RTO_SHORT + SHORT,
    ),
]


def measure(name: str) -> Any:
    """Measure one of VALUES."""
    if name == "full":
        return arrived()
    if name in ("rate", "wide", "far"):
        return arrived(2 * WINDOW if name == "wide" else WINDOW, 2 * R if name == "far" else R) * 8 / SECONDS / 1e6
    if name == "smallest":
        return min(single_bytes())
    if name == "resumed":
        return asleep(SHORT, lose_update=True)["resumed"]
    found = asleep()
    first = found["gaps"][0]
    return {"held": found["held"], "first": first, "gaps": [gap / first for gap in found["gaps"]]}[name]


CONTROLS = [
    LabControl(
        "The update is lost, and the sender does not probe",
        LabValue("stuck", "Is the transfer complete after an hour? (1 is yes, 0 is no)", "0", 0, ""),
    ),
    LabControl(
        "No avoidance of silly windows, and no Nagle's algorithm",
        LabValue("silly", "The smallest segment", "1", 1, "bytes"),
    ),
    LabControl(
        "No avoidance of silly windows, and no Nagle's algorithm",
        LabValue("many", "Segments of one byte, of 10,000 bytes", "10,000 - 5 * 1,460", 10_000 - 5 * MSS, "", 10),
    ),
]


def control(name: str) -> int:
    """Measure a control."""
    if name == "stuck":
        return int(asleep(SHORT, lose_update=True, persist=False)["done"])
    sizes = single_bytes(10_000, tcp_sws=False, tcp_nagle=False)
    return min(sizes) if name == "silly" else sum(size == 1 for size in sizes)


LOOKS = [
    LabLook("The reader sleeps, the window closes, and the sender probes", lambda: asleep.__wrapped__(SHORT), 'host == "a" and event.kind == "hold" and tcb.snd_wnd == 0', "sequence", "a "),
]  # fmt: skip
