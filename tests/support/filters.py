"""The same packet filter twice: a kernel namespace with the real nft, and a stack that loads what `nft -j list ruleset` prints there."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pystack_c.const as C
from pystack.addresses import parse_addr
from pystack.kernel.netns import Namespace
from pystack.phy.tap import TapDevice
from pystack_c.config import Config
from pystack_c.stack import Stack
from tests.support import routers as r
from tests.support.routers import ADDRESSES, Out, Pair

#: what both do with packets for the router itself: they must not answer
LOCAL = """
table ip local { chain in { type filter hook input priority 1000; policy drop; } ; }
"""
SYSCTLS = {
    "net.ipv4.ip_forward": 1,
    "net.ipv4.conf.all.rp_filter": 0,
    "net.ipv4.conf.in0.rp_filter": 0,
    "net.ipv4.conf.out0.rp_filter": 0,
    "net.ipv4.conf.all.send_redirects": 0,
    "net.ipv4.conf.in0.send_redirects": 0,
    "net.ipv4.conf.out0.send_redirects": 0,
    "net.ipv4.icmp_ratelimit": 0,
    # The limit 0 alone is not enough. An error about a missing route passes two checks of the same tokens. If the kernel's clock ticks between
    # them, the second one takes all tokens away, and errors to this source are lost for a second. On a busy machine, this is more likely.
    "net.ipv4.icmp_ratemask": 0,
    "net.ipv4.icmp_msgs_per_sec": 100000,
    "net.ipv4.icmp_msgs_burst": 100000,
}


class KernelFilter(r.KernelRouter):
    """A namespace that forwards between two TUN devices. Packets are shown as they are, with their DSCP."""

    def shown(self, iface: int, data: bytes) -> Out:
        """The packet."""
        return Out(iface, 0, data)

    def ruleset(self) -> list[dict[str, Any]]:
        """Return the ruleset as nft's JSON shows it."""
        done = self.space.run(["nft", "-j", "list", "ruleset"], text=True, capture_output=True, timeout=20, check=True)
        return [item for item in json.loads(done.stdout)["nftables"] if "metainfo" not in item]


class StackFilter:
    """A stack that forwards between two interfaces."""

    def __init__(self, rules: list[dict[str, Any]]):
        self.stack = Stack(r.SEED, Config(ip_forward=True, icmp_ratelimit=0, send_redirects=False), "router")
        self.choice = r.Follower(self.stack)
        self.ifaces = []
        for name, address in zip(("in0", "out0"), ADDRESSES, strict=True):
            iface = self.stack.add_iface(name, C.LINK_IP)
            addr, length = address.split("/")
            self.stack.add_addr(iface, parse_addr(addr), int(length))
            self.ifaces.append(iface)
        self.stack.add_route(parse_addr("198.51.100.0"), 24, kind=C.RT_BLACKHOLE)
        self.stack.now = time.monotonic_ns()
        self.stack.nft(json.dumps({"nftables": rules}))

    def send(self, side: int, packet: bytes) -> list[Out]:
        """Give the router a packet, and return what it sends for it."""
        now = time.monotonic_ns()
        self.stack.handle_timeout(now)
        self.stack.receive(self.ifaces[side], packet, now)
        found = []
        while (tx := self.stack.poll_transmit(now)) is not None:
            found.append(Out(self.ifaces.index(tx.iface), 0, tx.to_bytes()))
        return found

    def ruleset(self) -> list[dict[str, Any]]:
        """Return the ruleset as nft's JSON shows it."""
        self.stack.now = time.monotonic_ns()
        found: list[dict[str, Any]] = self.stack.nftables.dump()
        return found


class Filters:
    """Both filters. `send` compares what they do, and remembers the packets for answers."""

    def __init__(self, kernel: KernelFilter, stack: StackFilter, exact: bool):
        self.kernel = kernel
        self.stack = stack
        self.exact = exact
        self.sent: list[Pair] = []
        self.received: list[Pair] = []
        self.forwarded = 0

    def send(self, pair: Pair) -> list[Pair]:
        """Send a packet to both. Raises AssertionError if they differ."""
        theirs, ours = r.both(self.kernel, self.stack, pair)
        text = f"packet {len(self.sent)} at side {pair.side}: {pair.kernel.hex()} {pair.stack.hex()}"
        self.stack.choice.check(pair.stack, theirs)
        if not self.exact:
            ours, theirs = r.joined(ours), r.joined(theirs)
        assert len(ours) == len(theirs), (text, theirs, ours, dict(self.stack.stack.counters.drops.items()))
        self.sent.append(pair)
        out = []
        for mine, other in zip(ours, theirs, strict=True):
            assert mine.iface == other.iface, (text, other, mine)
            compare(other.packet, mine.packet)
            self.forwarded += 1
            out.append(Pair(mine.iface, other.packet, mine.packet))
        self.received += out
        return out

    def compare_rulesets(self) -> None:
        """Compare both rulesets with all counters, quotas and elements."""
        theirs, ours = steady(self.kernel.ruleset()), steady(self.stack.ruleset())
        for one, other in zip(theirs, ours, strict=True):
            assert one == other, (one, other)


def compare(theirs: bytes, ours: bytes) -> None:
    """Compare two packets that left. Of the routers' own errors, the ECN may differ."""
    error = theirs[8] == 64 and theirs[9] == 1 and theirs[20] in (3, 11)
    assert theirs[1] | (3 if error else 0) == ours[1] | (3 if error else 0), (theirs.hex(), ours.hex())
    r.compare(theirs, ours)


def steady(rules: Any) -> Any:
    """The ruleset without what depends on the moment, and with the elements of sets in one order."""
    if isinstance(rules, list):
        return [steady(item) for item in rules]
    if isinstance(rules, dict):
        found = {name: steady(item) for name, item in rules.items() if name != "expires"}
        if "elem" in found and isinstance(found["elem"], list):
            found["elem"].sort(key=json.dumps)
        return found
    return rules


@contextmanager
def filters(rules: str, change: Callable[[str], str] = str) -> Iterator[Filters]:
    """Both filters with the same rules. `change` may change what the stack gets, which is JSON."""
    with Namespace.new() as space:
        space.quiet()
        devices = [
            TapDevice(name, mode="tun", netns=space, offload=False, address=address)
            for name, address in zip(("in0", "out0"), ADDRESSES, strict=True)
        ]
        try:
            for key, value in SYSCTLS.items():
                space.run(["sysctl", "-qw", f"{key}={value}"], check=False, capture_output=True, timeout=10)
            blackhole = ["ip", "route", "add", "blackhole", "198.51.100.0/24"]
            space.run(blackhole, check=True, capture_output=True, timeout=10)
            kernel = KernelFilter(space, devices)
            kernel.nft(LOCAL.replace("} ; }", "}\n}") + rules)
            yield Filters(
                kernel, StackFilter(json.loads(change(json.dumps(kernel.ruleset())))), "type nat" not in rules
            )
        finally:
            for device in devices:
                device.close()
