"""A server that listens and never accepts, or accepts once; a flood of SYNs; and SYNs into nothing."""

import errno
from functools import cache
from typing import Any

from pystack.labs.lab_21_backlog.flood import flood
from pystack.labs.looks import LabLook
from pystack.labs.values import LabControl, LabValue
from pystack.testing.lab import MS, B, Lab, S, lab_net, sleep, stream

R = 10 * MS
BACKLOG, CLIENTS = 4, 8
SYNS, QUEUE = 256, 128
SOL_SOCKET, SO_REUSEPORT, WORKERS = 1, 15, 200


def network(**settings: Any) -> Lab:
    """Build the network: a client `a` and a server `b`, half a round trip apart each way."""
    return lab_net(R // 2, **settings)


def clients(backlog: int = BACKLOG, accept_at: int = -1, **settings: Any) -> list[int | None]:
    """Let 8 clients connect, 2 R apart. Returns how long each took (ns), a negative errno if it failed, or None if it still waits."""
    lab = network(server=settings)
    listener = lab.listener(backlog=backlog)
    results: list[int | None] = [None] * CLIENTS

    def dial(number: int):
        yield sleep(number * 2 * R)
        started = lab.net.now
        sock = stream(lab.a)
        try:
            yield sock.connect(B, 80)
            yield sock.within(sock.recv(), R)  # a reset would come a round trip later than the SYN-ACK
        except TimeoutError:
            results[number] = lab.net.now - R - started
        except OSError as error:
            assert lab.net.now - started == R
            results[number] = -(error.errno or 0)

    for number in range(CLIENTS):
        lab.spawn(dial(number))
    if accept_at >= 0:
        lab.net.at(accept_at, listener.call, "accept")
    lab.net.run(until=20 * S)
    return results


@cache
def flooded(cookies: bool) -> list[int]:
    """Connect after a flood of SYNs. Returns the time (ns, or 0 if it fails), the entries of the queue, and the shift of the window."""
    lab = network(server={"tcp_max_syn_backlog": QUEUE, "tcp_syncookies": cookies})
    listener = lab.listener()
    flood(lab, SYNS)
    started, took = lab.net.now, 0
    sock = stream(lab.a)
    taken: list[Any] = []

    def dial():
        nonlocal took
        yield sock.connect(B, 80)
        took = lab.net.now - started

    def accept():
        taken.append((yield listener.accept()))

    lab.spawn(dial())
    lab.spawn(accept())
    lab.net.run(until=lab.net.now + 900 * MS)
    queue = listener.endpoint.listener.syn_queue
    return [took, len(queue), taken[0].endpoint.snd_wscale if taken else -1]


def into_nothing(**settings: Any) -> list[int]:
    """Connect over a link that is down. Returns the times of the SYNs (ns)."""
    lab = network(**settings)
    lab.link.down()

    def dial():
        try:
            yield from lab.client()
        except OSError as error:
            assert error.errno == errno.ETIMEDOUT

    lab.run(dial())
    return [seg.time for seg in lab.log.sent["a"]]


def shared(reuseport: bool = True) -> list[int]:
    """Let two sockets listen on the same port, and make 200 connections. Returns how many each has. The second one may not get the port."""
    lab = network()
    first, second = stream(lab.b), stream(lab.b)
    for sock in (first, second):
        sock.setsockopt(SOL_SOCKET, SO_REUSEPORT, int(reuseport))
        try:
            sock.bind("", 80)
            sock.listen(WORKERS)
        except OSError as error:
            assert error.errno == errno.EADDRINUSE and sock is second
            return []

    def dial():
        for _ in range(WORKERS):
            yield from lab.client()

    lab.run(dial())
    lab.net.run(until=lab.net.now + S)
    return [len(sock.endpoint.listener.accept_queue) for sock in (first, second)]


VALUES = [
    LabValue("connected", "How many of 8 clients connect?", "backlog + 1", BACKLOG + 1, "clients"),
    LabValue("time", "How long does each of these take?", "R", R),
    LabValue("sixth", "accept() is called once at 0.5 s: when is client 6 connected?", "1 s + R", S + R),
    LabValue("reset", "If the server resets instead: how many clients fail at once?", "3", 3, "clients"),
    LabValue("flood", "256 SYNs, a queue of 128, SYN cookies: how long does a real client take?", "R", R),
    LabValue(
        "flood queue", "How many entries does the queue have after it?", "128: it took no place", QUEUE, "entries"
    ),
    LabValue("flood scale", "Which window scale does its connection have?", "0: it was forgotten", 0, ""),
    LabValue(
        "nothing",
        "SYNs into nothing: when is each sent (7 of them)?",
        "2^n - 1",
        [(2**n - 1) * S for n in range(7)],
        "s",
    ),
    LabValue(
        "shared",
        "Two processes listen on one port with SO_REUSEPORT: how many of 200 connections does the first one have?",
        "200 / 2",
        WORKERS // 2,
        "connections",
        tolerance=22,  # three standard deviations
    ),
]


def measure(name: str) -> Any:
    """Measure one of VALUES."""
    if name.startswith("flood"):
        return flooded(True)[["flood", "flood queue", "flood scale"].index(name)]
    if name == "shared":
        one, other = shared()
        assert one + other == WORKERS
        return one
    if name == "nothing":
        return into_nothing(tcp_syn_retries=6)
    if name == "sixth":
        return clients(accept_at=500 * MS)[5]
    if name == "reset":
        return clients(tcp_abort_on_overflow=True).count(-errno.ECONNREFUSED)
    times = [time for time in clients() if time is not None]
    return len(times) if name == "connected" else max(times)


CONTROLS = [
    LabControl("The backlog is 8", LabValue("longer", "Clients that connect", "8", CLIENTS, "clients")),
    LabControl(
        "The flood, without SYN cookies", LabValue("refused", "Time of the real client (0: it fails)", "0", 0, "ms")
    ),
    LabControl(
        "Without SO_REUSEPORT",
        LabValue("alone", "Does the second process get the port? (1 is yes)", "0", 0, ""),
    ),
    LabControl(
        "As Linux does it: the first four retransmissions are one second apart",
        LabValue(
            "linear", "SYNs into nothing", "0 to 4, then doubling", [t * S for t in (0, 1, 2, 3, 4, 5, 7, 11, 19)], "s"
        ),
    ),
]


def control(name: str) -> Any:
    """Measure a control."""
    if name == "alone":
        return int(bool(shared(reuseport=False)))
    if name == "linear":
        return into_nothing(tcp_syn_retries=8, tcp_syn_linear_timeouts=4, tcp_rto_max=1000 * S)
    return clients(backlog=8).count(R) if name == "longer" else flooded(False)[0]


LOOKS = [
    LabLook("Eight clients and a queue for five", lambda: clients(accept_at=500 * MS), 'event.kind == "drop"', "ladder", frames="13-24"),
]  # fmt: skip
