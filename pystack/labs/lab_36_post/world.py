"""The world of the exercise: a phone, a resolver and a shop, which stores photos, in virtual time."""

import struct
from collections.abc import Callable, Generator
from typing import Any

from pystack.sim.network import MS, Network, S
from pystack.sim.programs import Proc, Program, ProgramDatagrams, StreamSocket, datagram, sleep, spawn, stream
from pystack.stepper.scenarios.base import Scenario, pattern
from pystack.stepper.timeline import Timeline
from pystack.stepper.timing import Path, path

NAME = "shop.test"
SHOP, RESOLVER = "10.0.0.2", "10.0.1.53"
R, LOOKUP, THINK = 40 * MS, 30 * MS, 10 * MS
RATE = 100_000_000
PHOTOS = [pattern(30_000 + 100 * number)[number:] for number in range(12)]
CONNECTIONS = 4  # that the shop accepts at a time
HEAD, ANSWER = 64, 16
LIMIT = 30 * S
#: the program of the exercise: it gets the phone, the photos and `head`, and returns the answers
Upload = Callable[["Phone", list[bytes], Callable[[int, bytes], bytes]], Generator[Any, Any, list[bytes]]]


def head(number: int, photo: bytes) -> bytes:
    """Return the head of a request, which has 64 bytes."""
    return f"POST /photos/{number} HTTP/1.1\r\nContent-Length: {len(photo)}\r\n".encode().ljust(HEAD)


def stored(number: int) -> bytes:
    """Return the shop's answer, which has 16 bytes."""
    return f"201 photo {number}".encode().ljust(ANSWER)


def question(name: str, number: int = 1) -> bytes:
    """Return a question of DNS for an address (RFC 1035 4.1)."""
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    return struct.pack(">6H", number, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">2H", 1, 1)


class Phone:
    """The client's host, as the learner's program sees it."""

    def __init__(self, net: Network, host: Any):
        self._net, self._host = net, host

    def lookup(self, name: str) -> Program:
        """Ask the resolver for an address: `address = yield from phone.lookup(name)`."""
        sock = datagram(self._host)
        sock.sendto(question(name), RESOLVER, 53)
        answer = bytes((yield sock.recvfrom()).data)
        sock.close()
        return ".".join(str(byte) for byte in answer[-4:])

    def connect(self, address: str) -> Program:
        """Open a connection: `sock = yield from phone.connect(address)`."""
        sock = stream(self._host)
        yield sock.connect(address, 80)
        return sock

    def start(self, program: Program) -> Proc:
        """Let another program run at the same time. `yield` of what this returns waits for its end, and gives what it returns."""
        return spawn(self._net, program)


class Shop:
    """The shop: `photos` has what it has stored, as often as it has stored it."""

    def __init__(self, net: Network, host: Any):
        self.net, self.host = net, host
        self.open = self.refused = self.strange = 0
        self.photos: dict[int, list[bytes]] = {}

    def serve(self) -> Program:
        """Accept connections."""
        listener = stream(self.host)
        listener.bind("", 80)
        listener.listen(64)
        while True:
            sock = yield listener.accept()
            if self.open >= CONNECTIONS:
                self.refused += 1
                sock.abort()
                continue
            self.open += 1
            spawn(self.net, self.client(sock))

    def client(self, sock: StreamSocket) -> Program:
        """Serve one connection, request by request."""
        try:
            while line := (yield sock.recv_exactly(HEAD)):
                words = line.split()
                if len(words) != 5 or not (words[1][8:] + words[4]).isdigit():
                    self.strange += 1
                    sock.abort()
                    break
                number, size = int(words[1][8:]), int(words[4])
                photo = yield sock.recv_exactly(size)
                yield sleep(THINK)
                self.photos.setdefault(number, []).append(photo)
                yield sock.sendall(stored(number))
            sock.close()
        except OSError:
            pass
        self.open -= 1


def resolve(sock: ProgramDatagrams) -> Program:
    """Answer each question with the shop's address."""
    sock.bind("", 53)
    while True:
        asked = yield sock.recvfrom()
        data = bytes(asked.data)
        found = struct.pack(">HHHIH", 0xC00C, 1, 1, 300, 4) + bytes(map(int, SHOP.split(".")))
        sock.call(
            "sendto", data[:2] + struct.pack(">5H", 0x8180, 1, 1, 0, 0) + data[12:] + found, asked.src, asked.sport, 0
        )


class Uploaded:
    """The result of a run: the answers that the program returned, the shop, and the path through the recording."""

    answers: Any = None
    error: OSError | None = None
    shop: Shop
    timeline: Timeline

    def path(self) -> Path:
        """Return where the time went, from the first call to the last data."""
        events = [entry for entry in self.timeline.events if entry.host == "phone"]
        begin = next(entry.index for entry in events if entry.kind == "call")
        end = [entry.index for entry in events if entry.kind == "tcp.data"][-1]
        return path(self.timeline, begin=begin, end=end)


def run(upload: Upload) -> Uploaded:
    """Run the program on the phone, and record it."""
    found = Uploaded()

    def play(net: Network) -> None:
        phone, shop, resolver = (net.host(name, profile="lab") for name in ("phone", "shop", "resolver"))
        net.link(phone, shop, delay=R // 2, rate=RATE, addrs=("10.0.0.1/24", f"{SHOP}/24"))
        net.link(phone, resolver, delay=LOOKUP // 2, addrs=("10.0.1.1/24", f"{RESOLVER}/24"))
        net.introduce()
        found.shop = Shop(net, shop)
        spawn(net, found.shop.serve())
        spawn(net, resolve(datagram(resolver)))
        net.settle()
        try:
            program = spawn(net, upload(Phone(net, phone), list(PHOTOS), head))
            net.run_until(program.finished, limit=LIMIT)
            found.answers = program.value
        except OSError as error:
            found.error = error

    found.timeline = Scenario("upload", play, "", "", (), "").timeline()
    return found
