"""What a program sees of datagrams: one for each read, cut off by a short buffer, empty, in fragments, and from a stranger."""

import asyncio
import socket
from typing import Any

from pystack.labs.looks import LabLook
from pystack.labs.values import LabControl, LabValue
from pystack.sim.programs import Program, ProgramDatagrams, datagram
from pystack.testing.lab import MS, B, Lab, S, lab_net, sleep

R = 20 * MS
PORT = 9
LARGE, SMALL, BUFFER = 3000, 10, 1024
MTU, IP_HEADER, UDP_HEADER = 1500, 20, 8
LONGEST = 65_535 - IP_HEADER - UDP_HEADER
FRAGMENTS = -(-(LONGEST + UDP_HEADER) // (MTU - IP_HEADER))
STRANGER = "10.0.1.3"


def network() -> Lab:
    """Build the network: a client `a` and a server `b`, half a round trip apart each way."""
    return lab_net(R // 2)


def short_reads(kind: int) -> list[int]:
    """Send 3,000 bytes and then 10, with UDP or TCP. Returns what reads with a buffer of 1,024 bytes give, which begin later."""
    lab = network()

    async def take() -> list[int]:
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, kind) as sock:
            sock.setblocking(False)
            sock.bind(("", PORT))
            if kind == socket.SOCK_STREAM:
                sock.listen()
                with (await loop.sock_accept(sock))[0] as conn:
                    return await read(loop, conn, 3)
            return await read(loop, sock, 2)

    async def read(loop: Any, sock: Any, times: int) -> list[int]:
        await asyncio.sleep(1)
        return [len(await loop.sock_recv(sock, BUFFER)) for _ in range(times)]

    async def put() -> None:
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, kind) as sock:
            sock.setblocking(False)
            await loop.sock_connect(sock, (B, PORT))
            for size in (LARGE, SMALL):
                await loop.sock_sendall(sock, bytes(size))

    found: list[int] = lab.net.run({lab.b: take, lab.a: put})[lab.b]
    return found


def reads(*sizes: int) -> list[int]:
    """Send datagrams. Returns the sizes of the reads."""
    lab = network()
    taker, sender = datagram(lab.b), datagram(lab.a)
    taker.bind("", PORT)

    def take() -> Program:
        found = []
        for _ in sizes:
            found.append(len((yield taker.recvfrom()).data))
        return found

    for size in sizes:
        sender.sendto(bytes(size), B, PORT)
    found: list[int] = lab.run(take())[0]
    return found


def packets(lost: int | None) -> tuple[int, int]:
    """Send the longest datagram, and lose one of its packets. Returns how many packets were sent, and how many bytes arrive."""
    lab = network()
    if lost is not None:
        lab.link.ab.drop(lost)
    taker = datagram(lab.b)
    taker.bind("", PORT)
    got = 0

    def take() -> Program:
        nonlocal got
        got = len((yield taker.recvfrom()).data)

    lab.spawn(take())
    datagram(lab.a).sendto(bytes(LONGEST), B, PORT)
    lab.net.run(until=S)
    return lab.link.ab.stats.frames, got


def from_strangers(connected: bool) -> int:
    """Ask the server, and let a third host send to the client, too. Returns how many datagrams the client gets."""
    lab = network()
    third = lab.net.host("stranger", profile="lab")
    lab.net.link(third, lab.a, delay=R // 2, addrs=(f"{STRANGER}/24", "10.0.1.1/24"))
    lab.net.introduce()
    server, client = datagram(lab.b), datagram(lab.a)
    server.bind("", PORT)
    client.bind("", 4000)
    if connected:
        client.connect(B, PORT)
    got = 0

    def answer() -> Program:
        asked = yield server.recvfrom()
        server.sendto(asked.data, "10.0.0.1", 4000)

    def take(sock: ProgramDatagrams) -> Program:
        nonlocal got
        while True:
            yield sock.recvfrom()
            got += 1

    lab.spawn(answer())
    lab.spawn(take(client))
    client.sendto(b"?", B, PORT)
    datagram(third).sendto(b"!", "10.0.1.1", 4000)
    lab.run(sleep_for(S))
    return got


def sleep_for(time: int) -> Program:
    """Wait."""
    yield sleep(time)


VALUES = [
    LabValue("boundaries", "Datagrams of 10, 0 and 3,000 bytes are sent. Which sizes do the reads have?", "as sent",
             [SMALL, 0, LARGE], "bytes"),
    LabValue("short", "Datagrams of 3,000 and 10 bytes, and a buffer of 1,024 bytes: which sizes do the two reads have?", "min(size, buffer)",
             [BUFFER, SMALL], "bytes"),
    LabValue("packets", "In how many IP packets does the longest datagram travel?", "(65,507 + 8) / 1,480, rounded up", FRAGMENTS, "packets"),
    LabValue("lost", "One of these packets is lost. How many bytes arrive?", "none", 0, "bytes"),
    LabValue("unconnected", "The server answers, and a stranger sends. How many datagrams does an unconnected client get?", "1 + 1", 2, ""),
]  # fmt: skip


def measure(name: str) -> Any:
    """Measure one of VALUES."""
    if name == "boundaries":
        return reads(SMALL, 0, LARGE)
    if name == "short":
        return short_reads(socket.SOCK_DGRAM)
    if name == "packets":
        return packets(None)[0]
    return packets(FRAGMENTS // 2)[1] if name == "lost" else from_strangers(False)


CONTROLS = [
    LabControl("TCP instead of UDP, and three reads", LabValue("stream", "The sizes of the reads", "nothing is lost",
               [BUFFER, BUFFER, LARGE + SMALL - 2 * BUFFER], "bytes")),
    LabControl("No packet is lost", LabValue("whole", "Bytes that arrive", "all", LONGEST, "bytes")),
    LabControl("A client that has called connect()", LabValue("connected", "Datagrams that it gets", "1", 1, "")),
]  # fmt: skip


def control(name: str) -> Any:
    """Measure a control."""
    if name == "stream":
        return short_reads(socket.SOCK_STREAM)
    return packets(None)[1] if name == "whole" else from_strangers(True)


LOOKS = [
    LabLook("Datagrams of 10, 0 and 3,000 bytes, and the reads", lambda: reads(SMALL, 0, LARGE), 'host == "b" and event.kind == "ip.held"', "ladder"),
    LabLook("The server answers, and a stranger sends", lambda: from_strangers(False), 'host == "a" and event.kind == "frame.in"', "ladder"),
]  # fmt: skip
