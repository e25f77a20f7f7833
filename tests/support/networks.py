"""Random networks with BBR (or another algorithm) on them, each a recording: the same on both builds, whichever made it.

    python -m tests.support.networks record DIRECTORY FIRST COUNT [ALGORITHM]    one recording a network
    python -m tests.support.networks replay DIRECTORY                            replay all that are there

Each prints a line for every network: its number and the hash of its recording, or how its replay ended.
"""

import hashlib
import io
import sys
from pathlib import Path
from random import Random
from typing import Any

from pystack.sim.network import MS, US, Network, S
from pystack.sim.programs import sleep, spawn, stream
from pystack.trace.replay import ReplayMismatch, replay

#: most bytes that the connections of a network carry together, and how long they may take
MOST, LIMIT = 3_000_000, 120 * S


class Kept(io.BytesIO):
    """A file that keeps its bytes after close()."""

    kept = b""

    def close(self) -> None:
        """Keep them."""
        self.kept = self.getvalue()


def link_of(rng: Random) -> dict[str, Any]:
    """A bottleneck: from 100 kbit/s to 1 Gbit/s, 50 us to 400 ms, with a queue of 0.2 to 4 times what the path holds."""
    rate = int(10 ** rng.uniform(5, 9))
    delay = int(10 ** rng.uniform(1.7, 5.6)) * US
    queue = max(3, int(rng.uniform(0.2, 4) * rate * 2 * delay / 1e9 / 8 / 1500))
    link: dict[str, Any] = {"rate": rate, "delay": delay, "queue": min(queue, 2000)}
    if rng.random() < 0.8:
        link["loss"] = rng.choice([0.005, 0.01, 0.02, 0.03, 0.05])
    if rng.random() < 0.3:
        link.update(reorder=0.02, reorder_delay=delay // 4 + MS)
    if rng.random() < 0.3:
        link["jitter"] = delay // 5
    return link


def make(seed: int, algorithm: str = "bbr") -> bytes:
    """Play one network; its recording."""
    rng = Random(f"network {seed}")
    link = link_of(rng)
    back = {name: value for name, value in link.items() if name in ("rate", "delay", "queue")}
    sizes = [rng.randrange(20_000, MOST // 3) for _ in range(rng.randrange(1, 4))]
    out = Kept()
    with Network(seed) as net:
        net.record(out)
        a = net.host("a", profile="linux", tcp_congestion=algorithm)
        b = net.host("b", profile="linux", tcp_congestion=algorithm)
        net.link(a, b, ab=link, ba=back, addrs=("10.0.0.1/24", "10.0.0.2/24"))

        def server(port: int) -> Any:
            listener = stream(b)
            listener.bind("", port)
            listener.listen()
            sock = yield listener.accept()
            yield sock.recv_all()
            sock.close()

        def client(port: int, size: int, start: int, pause: int) -> Any:
            yield sleep(start)
            sock = stream(a)
            try:
                yield sock.connect("10.0.0.2", port)
                yield sock.sendall(bytes(size // 2))
                yield sleep(pause)
                yield sock.sendall(bytes(size - size // 2))
                sock.close()
            except OSError:
                return

        for i, size in enumerate(sizes):
            spawn(net, server(80 + i))
            spawn(net, client(80 + i, size, rng.randrange(S), rng.choice([0, 10 * MS, S])))
        net.run(until=LIMIT)
    return out.kept


def main(argv: list[str]) -> int:
    """The two commands."""
    folder = Path(argv[1])
    if argv[0] == "record":
        for seed in range(int(argv[2]), int(argv[2]) + int(argv[3])):
            data = make(seed, *argv[4:])
            (folder / f"{seed}.pytrace").write_bytes(data)
            print(seed, hashlib.blake2b(data, digest_size=16).hexdigest(), flush=True)
        return 0
    for path in sorted(folder.glob("*.pytrace"), key=lambda path: int(path.stem)):
        try:
            replay(str(path))
            print(path.stem, "same", flush=True)
        except ReplayMismatch as mismatch:
            print(path.stem, str(mismatch).replace("\n", " "), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
