"""Random sessions: many connections at once that do as real programs do, on random links, between random settings.

What must hold, whatever happens: what arrives is a prefix of what was sent, and all of it where both ends were
graceful; every program ends; in the end no timer, endpoint or queue is left.
"""

import errno
import random
from collections.abc import Callable, Generator
from typing import Any

from pystack.sim.network import MS, Network, S
from pystack.sim.programs import StreamSocket, sleep, spawn, stream
from tests.sim.hostile import Transfer, pattern

LIMIT = 20_000 * S
#: how a connection may end where one side is rude, or the link too bad
ENDS = frozenset((errno.ECONNRESET, errno.EPIPE, errno.ETIMEDOUT, errno.ECONNABORTED, errno.ENOTCONN, errno.EBADF))

SETTINGS: dict[str, list[Any]] = {
    "tcp_sack": [True, True, False],
    "tcp_timestamps": [True, True, False],
    "tcp_window_scaling": [True, True, False],
    "tcp_rmem": [131072, 65536, 4096],
    "tcp_wmem": [262144, 16384, 2048],
    "tcp_delack_time": [40 * MS, 200 * MS],
    "tcp_quickack_segs": [16, 0],
    "tcp_nagle": [True, False],
    "tcp_mss": [0, 0, 536, 1000],
    "tcp_ecn": [0, 1, 3, 3, 5],
    "tcp_ecn_option": [2, 2, 1, 0],
}


class Side:
    """One end of one connection: what it sent, what it got, how it ended."""

    def __init__(self, rng: random.Random, name: str):
        self.rng = rng
        self.name = name
        size = rng.choice((0, 1, 100, 1460, 5000, 40_000, 200_000))
        self.data = pattern(rng.getrandbits(30), name, size)
        self.sent = 0
        self.got = bytearray()
        self.graceful = rng.random() < 0.7
        self.ended = False
        self.error: OSError | None = None
        self.eof = False

    def run(self, sock: StreamSocket) -> Generator[Any, Any, None]:
        """Send and receive as the dice say, then end."""
        writing = spawn(sock.host.net, self._write(sock))
        try:
            yield from self._read(sock)
        except OSError as error:
            self.error = error
        if self.eof or self.error is not None:
            yield writing  # who stops reading early does not wait: the other end might do the same
        if not self.graceful and self.rng.random() < 0.5:
            sock.abort()
        else:
            sock.close()
        self.ended = True

    def _write(self, sock: StreamSocket) -> Generator[Any, Any, None]:
        rng = self.rng
        try:
            while self.sent < len(self.data):
                if not self.graceful and rng.random() < 0.1:
                    return
                chunk = self.data[self.sent : self.sent + rng.choice((1, 10, 500, 1460, 20_000))]
                yield sock.sendall(chunk)
                self.sent += len(chunk)
                if rng.random() < 0.2:
                    yield sleep(rng.choice((0, 1 * MS, 50 * MS, 500 * MS)))
            if self.graceful or rng.random() < 0.5:
                sock.shutdown()
        except OSError as error:
            self.error = error

    def _read(self, sock: StreamSocket) -> Generator[Any, Any, None]:
        rng = self.rng
        while True:
            if not self.graceful and rng.random() < 0.05:
                return
            part = yield sock.within(sock.recv(rng.choice((1, 100, 4096, 65536))), 3000 * S)
            if not part:
                self.eof = True
                return
            self.got += part
            if rng.random() < 0.05:
                yield sleep(rng.choice((1 * MS, 100 * MS, 2 * S)))


class Sessions:
    """`count` connections of one seed."""

    def __init__(
        self, seed: int, count: int = 8, prepare: Callable[[Network], object] = lambda net: None, **settings: Any
    ):
        rng = random.Random(seed)
        self.net = net = Network(seed)
        prepare(net)
        self.hosts = []
        for name in "ab":
            chosen = {key: rng.choice(values) for key, values in SETTINGS.items()} | settings
            self.hosts.append(net.host(name, offload=rng.random() < 0.3, **chosen))
        link: dict[str, Any] = {
            "delay": rng.choice((0, MS, 20 * MS, 200 * MS)),
            "rate": rng.choice((0, 10_000_000, 1_000_000)),
            "queue": rng.choice((None, 5, 50)),
            "mark": rng.choice((None, 0, 3)),
            "loss": rng.choice((0, 0.01, 0.1)),
            "reorder": rng.choice((0, 0.1)),
            "reorder_delay": rng.choice((MS, 30 * MS)),
            "duplicate": rng.choice((0, 0.05)),
            "corrupt": rng.choice((0, 0.02)),
            "jitter": rng.choice((0, MS)),
        }
        self.link = net.link(
            *self.hosts, addrs=("10.0.0.1/24", "10.0.0.2/24"), mtu=rng.choice((1500, 1500, 576)), **link
        )
        net.introduce()
        self.pairs = [
            (Side(random.Random(rng.random()), "a"), Side(random.Random(rng.random()), "b")) for _ in range(count)
        ]
        self.failed: list[int] = []
        for number, pair in enumerate(self.pairs):
            spawn(net, self._server(7000 + number, pair[1]))
            net.after(rng.randrange(3 * S), self._start, number, pair[0])

    def _start(self, number: int, side: Side) -> None:
        spawn(self.net, self._client(number, side))

    def _server(self, port: int, side: Side) -> Generator[Any, Any, None]:
        listener = stream(self.hosts[1])
        listener.bind("", port)
        listener.listen(1)
        try:
            sock = yield listener.within(listener.accept(), 1000 * S)
        except TimeoutError:
            side.ended = True
            listener.close()
            return
        listener.close()
        yield from side.run(sock)

    def _client(self, number: int, side: Side) -> Generator[Any, Any, None]:
        sock = stream(self.hosts[0])
        try:
            yield sock.connect("10.0.0.2", 7000 + number)
        except OSError as error:
            side.error = error
            side.ended = True
            sock.close()
            return
        yield from side.run(sock)

    def run(self) -> int:
        """Run all, check all; returns the virtual time it took."""
        net = self.net
        took = net.run_until(lambda: all(a.ended and b.ended for a, b in self.pairs), LIMIT)
        for number, (a, b) in enumerate(self.pairs):
            for here, there in ((a, b), (b, a)):
                where = f"connection {number}, {there.name} to {here.name}"
                assert there.data.startswith(bytes(here.got)), f"{where}: other bytes"
                rude = not (a.graceful and b.graceful)
                failed = here.error is not None or there.error is not None
                assert here.error is None or here.error.errno in ENDS, f"{where}: {here.error!r}"
                if not rude and not failed:
                    assert here.eof and len(here.got) == len(there.data), (
                        f"{where}: {len(here.got)} of {len(there.data)}"
                    )
                if not rude and self.link.ab.loss < 0.1:
                    assert not failed, f"{where}: {here.error!r} {there.error!r}"
        net.run_until_idle()
        for host in self.hosts:
            left = Transfer.leftovers(host)
            assert not left, f"{host.name} still has {left}"
        return took
