"""Counts the instructions of the per-packet paths, which are the same on all machines of a kind, unlike wall time.

python -m tools.bench.instructions            count, compare with instructions.json
python -m tools.bench.instructions --write    and keep the counts there

Each path runs in a process of its own under valgrind's callgrind, with many packets. The cost of a process that only
makes the two stacks is subtracted. The two stacks talk to each other through a queue in the same process, so a count
covers both ends: one segment sent and received, and its share of acknowledgements.
"""

import argparse
import gc
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
RESULTS = Path(__file__).with_name("instructions.json")
A, B = 0x0A000001, 0x0A000002
PACKETS = 500
#: flows whose packets alternate at a router
FLOWS = 16


#: environment variable: attach a probe
LISTEN = "PYSTACK_BENCH_PROBE"


class Listener:
    """A probe that ignores its events."""

    def event(self, event: Any) -> None:
        """Called by the core."""


class Pair:
    """Two stacks on one wire, in virtual time."""

    def __init__(self, **settings: Any) -> None:
        import pystack_c.const as C
        from pystack_c.config import Config
        from pystack_c.stack import Stack

        self.now = 1_000_000_000
        self.stacks = [Stack(seed, Config().update(settings), f"host{seed}") for seed in (1, 2)]
        self.ifaces = []
        if LISTEN in os.environ:
            self.stacks[0].probe = self.stacks[1].probe = Listener()
        for i, stack in enumerate(self.stacks):
            stack.now = self.now
            self.ifaces.append(stack.add_iface("eth0", C.LINK_ETHERNET, 0x020000000001 + i, 1500, False, 0))
            stack.add_addr(self.ifaces[i], (A, B)[i], 24)
        for i, stack in enumerate(self.stacks):
            stack.add_neighbor(self.ifaces[i], (B, A)[i], 0x020000000002 - i)

    def settle(self) -> None:
        """Carry frames until both stacks have none left. Each frame takes a microsecond."""
        busy = True
        while busy:
            busy = False
            for i, stack in enumerate(self.stacks):
                tx = stack.poll_transmit(self.now)
                while tx is not None:
                    busy = True
                    self.now += 1000
                    self.stacks[1 - i].receive(self.ifaces[1 - i], tx.to_bytes(), self.now)
                    tx = stack.poll_transmit(self.now)

    def connected(self) -> tuple[Any, Any]:
        """Return the two ends of a connection, the client's first."""
        from pystack_c.tcp import user

        listener = user.tcp_open(self.stacks[1], self.now)
        user.bind(listener, B, 7, self.now)
        user.listen(listener, 10, self.now)
        client = user.tcp_open(self.stacks[0], self.now)
        user.connect(client, B, 7, self.now)
        self.settle()
        return client, user.accept(listener, self.now)


def segments(count: int) -> None:
    """Send full segments one way. They are read at once, and about each second one is acknowledged."""
    from pystack_c.tcp import user

    pair = Pair()
    client, server = pair.connected()
    data = bytes(client.mss)
    for _ in range(count):
        user.send(client, data, 0, pair.now)
        pair.settle()
        if user.recv(server, 65536, 0, pair.now) is None:
            raise RuntimeError("nothing arrived")


def requests(count: int) -> None:
    """Send 64 bytes there and 64 bytes back. Each carries the acknowledgement of the other."""
    from pystack_c.tcp import user

    pair = Pair()
    client, server = pair.connected()
    for _ in range(count):
        for sender, reader in ((client, server), (server, client)):
            user.send(sender, bytes(64), 0, pair.now)
            pair.settle()
            if len(user.recv(reader, 64, 0, pair.now) or b"") != 64:
                raise RuntimeError("nothing arrived")


def datagrams(count: int) -> None:
    """Send a UDP datagram of 64 bytes, and receive it."""
    from pystack_c.sockets import udp

    pair = Pair()
    sender, reader = udp.udp_open(pair.stacks[0], pair.now), udp.udp_open(pair.stacks[1], pair.now)
    udp.bind(reader, B, 7, pair.now)
    for _ in range(count):
        udp.sendto(sender, bytes(64), B, 7, 0, pair.now)
        pair.settle()
        if udp.recvfrom(reader, 0, pair.now) is None:
            raise RuntimeError("nothing arrived")


def connections(count: int) -> None:
    """Connect, accept, and close in both directions."""
    from pystack_c.tcp import user

    pair = Pair()
    listener = user.tcp_open(pair.stacks[1], pair.now)
    user.bind(listener, B, 9, pair.now)
    user.listen(listener, 10, pair.now)
    for _ in range(count):
        client = user.tcp_open(pair.stacks[0], pair.now)
        user.connect(client, B, 9, pair.now)
        pair.settle()
        server = user.accept(listener, pair.now)
        user.close(client, pair.now)
        pair.settle()
        user.close(server, pair.now)
        pair.settle()


def lossy(count: int) -> None:
    """Keep 10 MB in flight over a path of 100 ms that loses each hundredth segment. The window stays as it is."""
    from pystack_c.tcp import user

    pair = Pair(
        tcp_congestion=f"fixed({WINDOW})", tcp_rmem=64 << 20, tcp_wmem=11 << 20, tcp_moderate_rcvbuf=False,
        tcp_moderate_sndbuf=False, tcp_max_ooo=1 << 20, tcp_wscale=11,
    )  # fmt: skip
    client, server = pair.connected()
    rng = random.Random(1)
    wires: list[deque[tuple[int, bytes]]] = [deque(), deque()]
    last = [0, 0]
    data = bytes(64 * client.mss)
    left = client.mss * (WINDOW + count)
    while left > 0:
        while left > 0 and client.send_space() >= len(data):
            left -= user.send(client, data, 0, pair.now)
        for i, stack in enumerate(pair.stacks):
            while (tx := stack.poll_transmit(pair.now)) is not None:
                frame = tx.to_bytes()
                if len(frame) > 1000 and rng.random() < 0.01:
                    continue
                last[i] = max(last[i] + 12_000 * (len(frame) > 1000), pair.now + 50_000_000)
                wires[i].append((last[i], frame))
        due = [wire[0][0] for wire in wires if wire]
        due += [timeout for stack in pair.stacks if (timeout := stack.poll_timeout()) is not None]
        pair.now = max(pair.now, min(due))
        for i, stack in enumerate(pair.stacks):
            wire = wires[1 - i]
            while wire and wire[0][0] <= pair.now:
                stack.receive(pair.ifaces[i], wire.popleft()[1], pair.now)
            stack.handle_timeout(pair.now)
        user.recv(server, 1 << 20, 0, pair.now)
    if client.rto_recoveries > 0 or client.total_retrans < count // 200:
        raise RuntimeError("the losses were not repaired as expected")


def simulated(count: int) -> None:
    """Transfer full segments between two hosts of a simulated network."""
    from tools.bench.simulator import transfer

    transfer(count * 1448)


class Relay(Pair):
    """Two stacks, and a router between them. The frames of the two networks are carried as those of a Pair are.

    Without `routed`, the middle stack does not forward. A program on it reads each datagram and sends it on.
    """

    def __init__(self, routed: bool) -> None:
        import pystack_c.const as C
        from pystack_c.config import Config
        from pystack_c.stack import Stack

        self.now = 1_000_000_000
        self.middle = Stack(1, Config().update({"ip_forward": routed}), "router")
        self.middle.now = self.now
        self.ifaces = []
        for i, own in enumerate((0x0A000001, 0x0A010001)):
            iface = self.middle.add_iface(f"eth{i}", C.LINK_ETHERNET, 0x020000000001 + i, 1500, False, 0)
            self.middle.add_addr(iface, own, 24)
            for n in range(FLOWS):
                self.middle.add_neighbor(iface, own + 1 + n, 0x020000000011 + 2 * n + i)
            self.ifaces.append(iface)
        if LISTEN in os.environ:
            self.middle.probe = Listener()

    def frame(self, daddr: int, sport: int = 0x400, back: bool = False, flow: int = 0) -> bytes:
        """Return a UDP datagram of 64 bytes from a host of the first network to `daddr`, as it arrives at the first interface.

        With `back`, it is the answer to this datagram, as it arrives at the second interface.
        """
        from pystack_c.wire.checksum import sum_bytes

        head = bytearray(bytes.fromhex("4500005c000100004011000000000000000000000000000000480000"))
        ends = [(0x0A000002 + flow).to_bytes(4, "big"), daddr.to_bytes(4, "big")]
        ports = [sport.to_bytes(2, "big"), (7).to_bytes(2, "big")]
        if back:
            ends.reverse()
            ports.reverse()
        head[12:20] = b"".join(ends)
        head[20:24] = b"".join(ports)
        head[10:12] = (sum_bytes(bytes(head[:20]), 0, 20, 0) ^ 0xFFFF).to_bytes(2, "big")
        link = "0200000000020200000000120800" if back else "0200000000010200000000110800"
        return bytes.fromhex(link) + bytes(head) + bytes(64)


def _forwarded(flows: int) -> Callable[[int], None]:
    """Return a path on which datagrams of 64 bytes are forwarded, from the arrival of each frame until the device has the bytes.

    The frames belong to this many flows in turn, each of which has a source and a destination of its own.
    """

    def run(count: int) -> None:
        relay = Relay(True)
        stack, iface, now = relay.middle, relay.ifaces[0], relay.now
        frames = [relay.frame(0x0A010002 + flow, flow=flow) for flow in range(flows)]
        for n in range(count):
            now += 1000
            stack.receive(iface, frames[n % flows], now)
            stack.poll_transmit(now).to_bytes()
            if stack.poll_transmit(now) is not None:
                raise RuntimeError("one datagram became two")

    return run


#: the connections of the paths BARE and FILTERED, and the elements of each set of the filter
ENTRIES, ELEMENTS = 10_000, 1000


def ruleset() -> str:
    """Return a firewall whose rules are elements of sets, in nft's JSON. A datagram of FILTERED passes the first three rules."""
    base = {"family": "ip", "table": "filter"}
    hook = {"type": "filter", "hook": "forward", "prio": 0, "policy": "drop"}
    blocked = [f"192.0.{n >> 8}.{n & 255}" for n in range(ELEMENTS)]
    services = [{"concat": [f"10.1.0.{2 + n % 250}", 7 + n // 250]} for n in range(ELEMENTS)]

    def rule(op: str, right: str, verdict: str, *fields: Any) -> dict[str, Any]:
        parts = [{"payload": {"protocol": protocol, "field": field}} for protocol, field in fields]
        left = parts[0] if len(parts) == 1 else {"concat": parts} if parts else {"ct": {"key": "state"}}
        expr = [{"match": {"op": op, "left": left, "right": right}}, {"counter": None}, {verdict: None}]
        return {"rule": {**base, "chain": "forward", "expr": expr}}

    commands = [
        {"table": {"family": "ip", "name": "filter"}},
        {"set": {**base, "name": "blocked", "type": "ipv4_addr", "elem": blocked}},
        {"set": {**base, "name": "services", "type": ["ipv4_addr", "inet_service"], "elem": services}},
        {"chain": {**base, "name": "forward", **hook}},
        rule("==", "@blocked", "drop", ("ip", "saddr")),
        rule("in", "invalid", "drop"),
        rule("==", "@services", "accept", ("ip", "daddr"), ("udp", "dport")),
        rule("==", "@services", "accept", ("ip", "saddr"), ("udp", "sport")),
    ]
    return json.dumps({"nftables": commands})


def _flows(filtered: bool) -> Callable[[int], None]:
    """Return a path that forwards datagrams of 10,000 connections in turn, with or without connection tracking and a filter."""

    def run(count: int) -> None:
        relay = Relay(True)
        stack, (near, far), now = relay.middle, relay.ifaces, relay.now
        if filtered:
            stack.nft(ruleset())
        frames = [relay.frame(0x0A010002, 1024 + n) for n in range(ENTRIES)]
        for turn in range(5):
            # The connections exist before the first datagram that counts, in both directions, and have had some traffic.
            for n in range(ENTRIES):
                now += 1000
                iface, frame = (far, relay.frame(0x0A010002, 1024 + n, True)) if turn == 1 else (near, frames[n])
                stack.receive(iface, frame, now)
                stack.poll_transmit(now).to_bytes()
        if filtered and stack.conntrack.count != ENTRIES:
            raise RuntimeError("not all connections are in the table")
        for n in range(count):
            now += 1000
            stack.receive(near, frames[n % ENTRIES], now)
            stack.poll_transmit(now).to_bytes()
            if stack.poll_transmit(now) is not None:
                raise RuntimeError("one datagram became two")

    return run


def _relayed(flows: int) -> Callable[[int], None]:
    """Return a path on which a socket receives the same datagrams, and another sends each on: the measure of what forwarding costs."""

    def run(count: int) -> None:
        from pystack_c.sockets import udp

        relay = Relay(False)
        stack, iface, now = relay.middle, relay.ifaces[0], relay.now
        frames = [relay.frame(0x0A000001, flow=flow) for flow in range(flows)]
        sender, reader = udp.udp_open(stack, now), udp.udp_open(stack, now)
        udp.bind(reader, 0x0A000001, 7, now)
        for n in range(count):
            now += 1000
            stack.receive(iface, frames[n % flows], now)
            udp.sendto(sender, udp.recvfrom(reader, 0, now).data, 0x0A010002 + n % flows, 7, 0, now)
            stack.poll_transmit(now).to_bytes()
            if stack.poll_transmit(now) is not None:
                raise RuntimeError("one datagram became two")

    return run


def _lookups(routes: int) -> Callable[[int], None]:
    """Return a path that looks up addresses in a table with this many routes of five prefix lengths."""

    def run(count: int) -> None:
        from pystack_c.base.address import v4
        from pystack_c.route import Route, RouteTable

        relay = Relay(True)
        table = RouteTable()
        for n in range(routes):
            length = (8, 12, 16, 20, 24)[n % 5]
            bits = (0x0B000000 + n * 0x00010407) & 0xFFFFFFFF << (32 - length) & 0xFFFFFFFF
            table.add(Route(v4(bits), length, v4(0x0A010002), relay.ifaces[1], 0, 0))
        for n in range(count):
            table.lookup(v4(0xC0000000 + n))

    return run


LOSSY = "1 % loss, 10 MB window, both ends"
SIMULATED = "simulated data segment"
OWN = "simulated, without the stacks"
BARE = "datagram of 10,000 flows forwarded"
FILTERED = "the same, tracked and filtered"
#: in segments of 1448 bytes
WINDOW = 7000
PATHS: dict[str, Callable[[int], None]] = {
    "data segment, both ends": segments,
    "request and response, both ends": requests,
    "datagram, both ends": datagrams,
    "connect and close, both ends": connections,
    LOSSY: lossy,
    SIMULATED: simulated,
    OWN: simulated,
    "datagram forwarded": _forwarded(1),
    "datagram received and sent on": _relayed(1),
    f"datagram forwarded, {FLOWS} flows": _forwarded(FLOWS),
    f"datagram received and sent on, {FLOWS} flows": _relayed(FLOWS),
    BARE: _flows(False),
    FILTERED: _flows(True),
    "route not found among 10": _lookups(10),
    "route not found among 10,000": _lookups(10_000),
}
#: paths that need more packets than the others, and how many times as many
TIMES = {LOSSY: 20, SIMULATED: 4, OWN: 4}
#: the functions of the core that the simulator calls for each frame: OWN does not count what happens in them
SEAM = ("receive", "poll_transmit", "poll_event", "poll_timeout", "handle_timeout")


def count(path: str, packets: int, root: Path = ROOT, listen: bool = False) -> int:
    """Return the instructions of a process that carries this many packets, with the core under `root`.

    With `listen`, a probe is attached.
    """
    with tempfile.NamedTemporaryFile() as out:
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out.name}"]
        if path == OWN:
            command += [f"--toggle-collect=__pyx_f_9pystack_c_5stack_5Stack_{name}" for name in SEAM]
            command.append("--collect-atstart=yes")
        command += [sys.executable, "-m", "tools.bench.instructions", "--run", path, str(packets)]
        environ = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
        if listen:
            environ[LISTEN] = "1"
        done = subprocess.run(command, cwd=root, env=environ, capture_output=True, text=True)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode != 0 or found is None:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    return int(found[1])


def cost(path: str, root: Path = ROOT, listen: bool = False) -> int:
    """Return the instructions per packet.

    They are the cost of a second lot of packets, so the start and the warming up are not included.
    """
    packets = PACKETS * TIMES.get(path, 1)
    once, twice = (count(path, many, root, listen) for many in (packets, 2 * packets))
    return round((twice - once) / packets)


def measure(root: Path = ROOT) -> dict[str, int]:
    """Return the instructions per packet of each path."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(PATHS, pool.map(lambda path: cost(path, root), PATHS)))


def why_not() -> str:
    """Return why nothing can be counted here, or ""."""
    import pystack

    if shutil.which("valgrind") is None:
        return "valgrind is not installed"
    return "" if all(pystack.compiled().values()) else "the core is not compiled"


def main() -> int:
    """Count and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--run", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        # When a collection of cyclic garbage falls, and how much it visits, depends on the modules that are loaded.
        gc.disable()
        PATHS[options.run[0]](int(options.run[1]))
        return 0
    reason = why_not()
    if reason:
        print(f"bench-instructions: skipped: {reason}")
        return 0
    last = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    now = measure()
    print("instructions per packet (callgrind), compared with the last saved figures")
    for path, value in now.items():
        change = f"{100 * (value / last[path] - 1):+.1f} %" if path in last else "new"
        print(f"  {path:<48}{value:>10,}  {change}")
    for flows in ("", f", {FLOWS} flows"):
        ratio = now["datagram forwarded" + flows] / now["datagram received and sent on" + flows]
        print(f"forwarding{flows} costs {ratio:.2f} of receiving and sending; it may cost 0.60")
    ratio = now[FILTERED] / now[BARE]
    print(
        f"{ENTRIES:,} tracked connections and {ELEMENTS:,} rules in sets cost {ratio:.2f} of a router without; they may cost 1.50"
    )
    if options.write:
        RESULTS.write_text(json.dumps(now, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
