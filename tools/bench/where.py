"""Measures how long the answer of `pystack time` takes on recordings of 100,000 frames.

python -m tools.bench.where [--frames 100000] [--keep FOLDER]      exit status 1 if an answer takes 2 s of CPU time or more

One recording is an upload over a lossy link, whose path is as long as the recording. In the other one, two clients ask a server again and again.
"""

import argparse
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from typing import Any

from pystack.sim.network import MS, Network
from pystack.sim.programs import StreamSocket, spawn
from pystack.stepper.scenarios.base import finish, listener, pair, stream
from pystack.stepper.timeline import Timeline
from pystack.stepper.timing import path

#: seconds of CPU time that an answer may take
LIMIT = 2.0
LONG = 36_000_000_000_000


def upload(file: str, frames: int) -> None:
    """Record an upload over a link of 100 Mbit/s that loses two frames in a thousand. There is an ACK for about two segments."""
    size = frames * 1448 * 2 // 3
    with Network(3) as net:
        net.record(file)
        a, b, _ = pair(net, delay=10 * MS, rate=100_000_000, queue=200, loss=0.002)
        waiting = listener(b)

        def take() -> Generator[Any, Any, None]:
            sock = yield waiting.accept()
            yield sock.recv_exactly(size)

        def put() -> Generator[Any, Any, None]:
            sock = stream(a)
            yield sock.connect("10.0.0.2", 80)
            for _ in range(size >> 20):
                yield sock.sendall(bytes(1 << 20))
            yield sock.sendall(bytes(size & (1 << 20) - 1))

        finish(net, spawn(net, put()), spawn(net, take()), limit=LONG)


def requests(file: str, frames: int) -> None:
    """Record two clients on one host that ask a server with two programs. A request and its answer are about four frames."""
    rounds = frames // 8
    with Network(3) as net:
        net.record(file)
        a, b, _ = pair(net, delay=1 * MS, rate=100_000_000)

        def serve(waiting: StreamSocket) -> Generator[Any, Any, None]:
            sock = yield waiting.accept()
            for _ in range(rounds):
                yield sock.recv_exactly(200)
                yield sock.sendall(bytes(3000))

        def ask(port: int) -> Generator[Any, Any, None]:
            sock = stream(a)
            yield sock.connect("10.0.0.2", port)
            for _ in range(rounds):
                yield sock.sendall(bytes(200))
                yield sock.recv_exactly(3000)

        programs = [spawn(net, serve(listener(b, port))) for port in (80, 81)] + [
            spawn(net, ask(port)) for port in (80, 81)
        ]
        finish(net, *programs, limit=LONG)


def measure(name: str, make: Callable[[str, int], None], frames: int, folder: str) -> float:
    """Print the times for one recording. Returns the seconds of CPU time of the answer."""
    file = os.path.join(folder, f"{name}-{frames}.pytrace")
    if not os.path.exists(file):
        # A process of its own, so that the clock counts only the answer.
        maker = multiprocessing.Process(target=make, args=(file, frames))
        maker.start()
        maker.join()
    began = time.process_time()
    timeline = Timeline.load(file)
    opened = time.process_time()
    found = path(timeline)
    answered = time.process_time()
    assert sum(span.duration for span in found) == found.elapsed
    print(
        f"{name}: {len(timeline.frames)} frames, {len(timeline.events)} events: opened in {opened - began:.2f} s, "
        f"answered in {answered - opened:.2f} s, in all {answered - began:.2f} s (CPU time); {len(found.spans)} spans",
        flush=True,
    )
    return answered - opened


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench.where", description=__doc__.partition("\n")[0])
    parser.add_argument("--frames", type=int, default=100_000, help="frames of each recording, about")
    parser.add_argument("--keep", help="keep the recordings in this folder, or use those that it has")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or temporary
        worst = max(
            measure(name, make, options.frames, folder) for name, make in (("upload", upload), ("requests", requests))
        )
    print(f"the slowest answer took {worst:.2f} s, the limit is {LIMIT:.0f} s")
    return 0 if worst < LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
