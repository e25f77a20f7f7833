#!/usr/bin/env python3
"""Measures networks with kernel hosts: how exact delays are (ping), and how much TCP passes (iperf3). The table is for docs/howto/networks.md.

Usage: python -m tools.bench.kernel_hosts [--seconds 2] [--pings 50]

On a machine with other work, `chrt -f 5` in front of it shows what an idle machine does.
"""

import argparse
import json
import re
import statistics
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

from pystack.sim import MS, Network

Pair = tuple[Any, Any]


def plain(net: Network, **link: Any) -> Pair:
    """Two kernel hosts and a link."""
    a, b = net.kernel("a"), net.kernel("b")
    net.link(a, b, addrs=("10.0.0.1/24", "10.0.0.2/24"), **link)
    return a, b


def switched(net: Network) -> Pair:
    """A switch between two kernel hosts."""
    a, b, lan = net.kernel("a"), net.kernel("b"), net.switch("lan")
    net.link(a, lan, addrs=("10.0.0.1/24", None))
    net.link(b, lan, addrs=("10.0.0.2/24", None))
    return a, b


def routed(net: Network, nat: bool = False) -> Pair:
    """A router of pystack between two kernel hosts, which may translate."""
    a, router, b = net.kernel("a"), net.nat("r") if nat else net.router("r"), net.kernel("b")
    net.link(router, b, addrs=("10.1.0.1/24", "10.1.0.2/24"))
    net.link(a, router, addrs=("10.0.0.1/24", "10.0.0.2/24"))
    a.route("default", via="10.0.0.2")
    b.route("default", via="10.1.0.1")
    return a, b


CASES: dict[str, Callable[[Network], Pair]] = {
    "a plain link": plain,
    "a link of 5 ms": lambda net: plain(net, delay=5 * MS),
    "a switch": switched,
    "a router": routed,
    "a NAT": lambda net: routed(net, nat=True),
    "a link of 1 Gbit/s": lambda net: plain(net, rate=1_000_000_000, queue=200),
    "a link of 100 Mbit/s": lambda net: plain(net, rate=100_000_000, queue=200),
}


def throughput(seconds: int) -> Iterator[str]:
    """Mbit/s of one TCP connection in each case."""
    yield "| between two kernel hosts | Mbit/s | mean lateness | 99 % below |"
    yield "|---|---|---|---|"
    for name, build in CASES.items():
        with Network(seed=1) as net:
            a, b = build(net)
            b.popen(["iperf3", "-s", "-1"], stdout=subprocess.DEVNULL)
            net.run(net.now + 300 * MS)
            done = a.run(["iperf3", "-J", "-c", "b", "-t", str(seconds)], capture_output=True, text=True, timeout=120)
            rate = json.loads(done.stdout)["end"]["sum_received"]["bits_per_second"] / 1e6
            late = net.driver.late if net.driver is not None else None
            assert late is not None
            mean = late.total / late.count / 1e6
            yield f"| {name} | {rate:,.0f} | {mean:.2f} ms | {late.percentile(0.99) / 1e6:.2f} ms |"


def delays(pings: int) -> Iterator[str]:
    """By how much round trips are longer than twice the delay of the link."""
    yield "| delay of the link | median of the excess | worst of the excess | mean lateness |"
    yield "|---|---|---|---|"
    for delay in (1, 5, 25):
        with Network(seed=1) as net:
            a, _ = plain(net, delay=delay * MS)
            a.run(["ping", "-c", "1", "b"], capture_output=True, timeout=60)  # ARP
            done = a.run(["ping", "-c", str(pings), "-i", "0.05", "b"], capture_output=True, text=True, timeout=120)
            times = [float(text) - 2 * delay for text in re.findall(r"time=([0-9.]+) ms", done.stdout)]
            late = net.driver.late if net.driver is not None else None
            assert late is not None
            mean = late.total / late.count / 1e6
            yield f"| {delay} ms | {statistics.median(times):.2f} ms | {max(times):.2f} ms | {mean:.2f} ms |"


def main(argv: "list[str] | None" = None) -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=2, help="how long each transfer lasts (default: 2)")
    parser.add_argument("--pings", type=int, default=50, help="how many round trips are measured (default: 50)")
    chosen = parser.parse_args(argv)
    for line in (*delays(chosen.pings), "", *throughput(chosen.seconds)):
        print(line, flush=True)


if __name__ == "__main__":
    main()
