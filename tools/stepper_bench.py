#!/usr/bin/env python3
"""Measures how fast and how large the stepper is: a recording of 100,000 frames, stepped backwards and by jumps.

Usage: tools/stepper_bench.py [--megabytes 100] [--keep FILE]      exit status 1 if a step takes over 0.2 s
"""

import argparse
import multiprocessing
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from typing import Any

from pystack.sim.network import MS, Network
from pystack.sim.programs import spawn
from pystack.stepper import Cursor, Timeline
from pystack.stepper.scenarios.base import connected, finish, pair

#: seconds that a step may take
LIMIT = 0.2


def record(path: str, megabytes: int) -> None:
    """Record an upload over a link of 100 Mbit/s that loses two frames in a thousand."""
    with Network(3) as net:
        net.record(path)
        a, b, _ = pair(net, delay=10 * MS, rate=100_000_000, queue=200, loss=0.002)
        client, server = connected(net, a, b)
        data = random.Random(1).randbytes(1 << 20)

        def put() -> Generator[Any, Any, None]:
            for _ in range(megabytes):
                yield client.sendall(data)

        def take() -> Generator[Any, Any, None]:
            yield server.recv_exactly(megabytes << 20)

        finish(net, spawn(net, put()), spawn(net, take()), limit=36_000_000_000_000)


def resident() -> float:
    """Return this process's resident memory in MB."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def timed(what: str, count: int, step: Callable[[], object]) -> float:
    """Do it `count` times, print mean and worst, and return the worst.

    The unit is seconds of CPU time, because other programs may use the machine, too.
    """
    times = []
    for _ in range(count):
        began = time.process_time()
        step()
        times.append(time.process_time() - began)
    print(f"{what:42} mean {sum(times) / count * 1e3:8.3f} ms   worst {max(times) * 1e3:8.3f} ms")
    return max(times)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=100, help="megabytes to send (100: over 100,000 frames)")
    parser.add_argument("--keep", help="write the recording to this file, or use the file if it exists")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = options.keep or os.path.join(folder, "large.pytrace")
        if not os.path.exists(path):
            # A process of its own, so that its memory does not hide the timeline's.
            maker = multiprocessing.Process(target=record, args=(path, options.megabytes))
            maker.start()
            maker.join()
        before, wall, cpu = resident(), time.perf_counter(), time.process_time()
        timeline = Timeline.load(path)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(f"{len(timeline.frames)} frames, {len(timeline.events)} events, {timeline.end / 1e9:.1f} s of virtual time")
    states = timeline.states
    parts = f"events {timeline.events.size() / 1e6:.1f}, frames {timeline.frames.size() / 1e6:.1f}, "
    parts += f"differences {states.deltas.size() / 1e6:.1f} MB, {len(states.keys)} keyframes"
    print(f"timeline built in {wall:.1f} s ({cpu:.1f} s of CPU); {resident() - before:.0f} MB: {parts}")

    cursor = Cursor(timeline)
    chance = random.Random(2)

    def look() -> None:
        cursor.state()
        cursor.diff()

    def step(unit: str, n: int) -> Callable[[], None]:
        def one() -> None:
            cursor.step(unit, n)
            look()

        return one

    def jump() -> None:
        cursor.goto(event=chance.randrange(len(timeline.events)))
        look()

    worst = 0.0
    for unit, count in (("event", 3000), ("frame", 1000), ("layer", 1000), ("rtt", 200)):
        cursor.last()
        look()
        worst = max(worst, timed(f"a step back by {unit}, state and differences", count, step(unit, -1)))
    worst = max(worst, timed("a jump to any event, state and differences", 300, jump))
    cursor.first()
    cursor.add_break("tcb.cwnd == 12345678")
    timed("run through to a breakpoint never hit", 1, cursor.run)
    cursor.first()
    cursor.breakpoints[:] = []
    cursor.add_break('event.kind == "retransmit" and tcb.cwnd == 12345678')
    timed("the same for one kind of event", 1, cursor.run)
    print(f"worst step {worst * 1e3:.1f} ms, the limit is {LIMIT * 1e3:.0f} ms")
    return 0 if worst < LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
