"""The bridge beside the kernel's: the same frames at the same ports, and the same frames leave by the same ports, byte for byte.

The kernel's bridge is in a namespace, and its ports are TAPs. The test of VLANs needs a kernel with CONFIG_BRIDGE_VLAN_FILTERING.
"""

import contextlib
import random
import struct
import time

import pytest

from pystack.kernel.netns import Namespace
from pystack_c.link.bridge import MacRelay
from tests import frames as f
from tests.support.taps import Tap

PORTS = 4
FRAMES = 3000
MACS = [bytes((2, 0, 0, 0, 1, number)) for number in range(10)]
OWN = b"\x02" + b"\xff" * 5
GROUPS = [
    bytes.fromhex(text)
    for text in ("ffffffffffff", "01005e010203", "0180c2000000", "0180c2000001", "0180c200000e", "333300000001")
]


class KernelBridge:
    """A bridge of the kernel with TAPs as ports. `options` are those of `ip link add br0 type bridge`."""

    def __init__(self, stack: contextlib.ExitStack, options: str):
        self.space = stack.enter_context(Namespace.new())
        self.space.quiet()
        self.do(f"ip link add br0 address {OWN.hex(':')} type bridge forward_delay 0 stp_state 0 {options}")
        self.taps = [Tap(self.space, f"port{number}") for number in range(PORTS)]
        for tap in self.taps:
            stack.callback(tap.close)
            self.do(f"ip link set {tap.name} master br0")
        self.do("ip link set br0 up")
        self.sent(0, b"")

    def do(self, command: str) -> None:
        done = self.space.run(command.split(), capture_output=True, text=True, timeout=20)
        if done.returncode != 0:
            raise OSError(f"{command}: {done.stderr.strip()}")

    def show(self, command: str) -> str:
        return self.space.run(command.split(), capture_output=True, text=True, timeout=20).stdout

    def sent(self, port: int, frame: bytes) -> list[tuple[int, bytes]]:
        """What leaves, and by which port, when a frame arrives at a port."""
        if frame:
            self.taps[port].write(frame)
        found = [(number, data) for number, tap in enumerate(self.taps) for data in tap.read()]
        return [one for one in found if one[1][6:12] != OWN]  # the kernel's bridge joins a group of its own (RFC 4286)


class Both:
    """The kernel's bridge and ours."""

    def __init__(self, stack: contextlib.ExitStack, options: str, **ours: object):
        self.kernel = KernelBridge(stack, options)
        self.bridge = MacRelay("br0", loop_guard=False, **ours)
        self.ports = [self.bridge.add_port(f"port{number}") for number in range(PORTS)]
        self.now = 0

    def compare(self, port: int, frame: bytes) -> int:
        """Send a frame through both. Returns how many frames left."""
        self.now += 1
        mine = [(to.number, data) for to, data in self.bridge.receive(self.ports[port], frame, self.now)]
        theirs = self.kernel.sent(port, frame)
        assert sorted(mine) == sorted(theirs), (port, frame.hex(), mine, theirs)
        return len(mine)

    def table(self) -> tuple[list[str], list[str]]:
        """The addresses in both tables, as `bridge fdb show` prints them, in order."""
        theirs = [line.strip() for line in self.kernel.show("bridge fdb show br br0").splitlines()]
        theirs = [line for line in theirs if "permanent" not in line and line.startswith("02:00")]
        # iproute2 prints `extern_learn`, `sticky` and so on after what both have.
        theirs = [line.replace(" sticky", "") for line in theirs]
        return sorted(self.bridge.fdb_show(self.now).splitlines()), sorted(theirs)


def frame_of(rng: random.Random, tags: bool) -> bytes:
    """A frame with a random receiver, sender, tag and length."""
    dst = rng.choice(MACS + GROUPS)
    src = rng.choice(MACS) if rng.random() < 0.98 else rng.choice([GROUPS[1], bytes(6)])
    tag = b""
    if tags and rng.random() < 0.6:
        vid = rng.choice([0, 1, 10, 20, 30, 4094])
        tag = struct.pack(">HH", rng.choice([0x8100] * 6 + [0x88A8]), rng.randrange(8) << 13 | vid)
        if rng.random() < 0.1:
            tag += struct.pack(">HH", 0x8100, rng.choice([10, 20]))
    return dst + src + tag + b"\x88\xb5" + rng.randbytes(rng.choice([46, 60, 500, 1400]))


@contextlib.contextmanager
def bridges(options: str, **ours: object):
    with contextlib.ExitStack() as stack:
        try:
            both = Both(stack, options, **ours)
        except OSError as error:
            pytest.skip(f"the kernel has no such bridge: {error}")
        yield both


@pytest.mark.parametrize("seed", [1, 2])
def test_random_frames_leave_by_the_same_ports(seed):
    rng = random.Random(seed)
    with bridges("mcast_snooping 0", mcast_snooping=False) as both:
        both.kernel.do("bridge link set dev port1 flood off")
        both.ports[1].flood = False
        both.kernel.do("bridge link set dev port2 mcast_flood off bcast_flood off")
        both.ports[2].mcast_flood = both.ports[2].bcast_flood = False
        both.kernel.do("bridge link set dev port3 hairpin on")
        both.ports[3].hairpin = True
        both.kernel.do(f"bridge fdb add {MACS[9].hex(':')} dev port0 master static sticky")
        both.bridge.fdb.set_static(MACS[9], both.ports[0])
        moved = sum(both.compare(rng.randrange(PORTS), frame_of(rng, True)) for _ in range(FRAMES))
        mine, theirs = both.table()
        # A kernel that knows VLANs adds the static entry in VLAN 1, too.
        theirs = [line for line in theirs if "vlan" not in line]
        assert mine == theirs and len(mine) == len(MACS)
        assert moved > FRAMES  # more frames left than arrived, so there was flooding


def test_isolated_ports_and_ports_that_learn_nothing():
    rng = random.Random(3)
    with bridges("mcast_snooping 0", mcast_snooping=False) as both:
        for number in (0, 1):
            both.kernel.do(f"bridge link set dev port{number} isolated on")
            both.ports[number].isolated = True
        both.kernel.do("bridge link set dev port2 learning off")
        both.ports[2].learning = False
        for _ in range(FRAMES // 3):
            both.compare(rng.randrange(PORTS), frame_of(rng, False))
        assert both.table()[0] == both.table()[1]


VLANS = {
    0: [(10, "pvid untagged")],
    1: [(20, "pvid untagged"), (10, "")],
    2: [(10, ""), (20, ""), (30, "")],
    3: [(30, ""), (20, "pvid")],
}


@pytest.mark.parametrize("seed", [1, 2])
def test_random_frames_with_tags_leave_with_the_same_tags(seed):
    rng = random.Random(seed)
    with bridges("mcast_snooping 0 vlan_filtering 1", mcast_snooping=False, vlan_filtering=True) as both:
        for number, vlans in VLANS.items():
            both.kernel.do(f"bridge vlan del dev port{number} vid 1")
            both.ports[number].vlan_del(1)
            for vid, words in vlans:
                both.kernel.do(f"bridge vlan add dev port{number} vid {vid} {words}")
                both.ports[number].vlan_add(vid, pvid="pvid" in words, untagged="untagged" in words)
        assert [line.split() for line in both.bridge.vlan_show().splitlines()] == [
            line.split() for line in both.kernel.show("bridge vlan show").splitlines() if "br0" not in line
        ][: 1 + sum(map(len, VLANS.values()))]
        moved = sum(both.compare(rng.randrange(PORTS), frame_of(rng, True)) for _ in range(FRAMES))
        assert both.table()[0] == both.table()[1] and moved > FRAMES // 3


# -- snooping ------------------------------------------------------------------------------------------------------------


def igmp(src: str, dst: str, message: bytes, mac: bytes) -> bytes:
    """An IGMP message in a frame, with TTL 1 and the Router Alert option."""
    message = message[:2] + (f.ones(message) ^ 0xFFFF).to_bytes(2, "big") + message[4:]
    head = (
        struct.pack(">BBHHHBBHII", 0x46, 0xC0, 24 + len(message), 1, 0, 1, 2, 0, f.bits(src), f.bits(dst))
        + b"\x94\x04\0\0"
    )
    head = head[:10] + (f.ones(head) ^ 0xFFFF).to_bytes(2, "big") + head[12:]
    return group_mac(dst) + mac + b"\x08\x00" + head + message


def group_mac(dst: str) -> bytes:
    return b"\x01\x00\x5e" + (f.bits(dst) & 0x7FFFFF).to_bytes(3, "big")


def old(kind: int, group: str, code: int = 0) -> bytes:
    """A message of IGMP version 2."""
    return struct.pack(">BBHI", kind, code, 0, f.bits(group) if group else 0)


def record(kind: int, group: str, *sources: str) -> bytes:
    """A report of version 3 with one record."""
    body = struct.pack(">BBHI", kind, 0, len(sources), f.bits(group)) + b"".join(
        f.bits(one).to_bytes(4, "big") for one in sources
    )
    return struct.pack(">BBHI", 0x22, 0, 0, 1) + body


def data(group: str) -> bytes:
    """A datagram to a group."""
    return (
        group_mac(group)
        + MACS[0]
        + b"\x08\x00"
        + f.ipv4("10.0.0.9", group, 17, struct.pack(">HHHH", 9, 9, 12, 0) + b"data")
    )


def test_groups_go_to_the_same_ports():
    """Port 0 has the querier, and hosts behind the others join groups with messages of versions 2 and 3."""
    with bridges("mcast_snooping 1") as both:
        both.compare(2, data("239.1.1.1"))  # without a querier it is flooded
        both.compare(1, igmp("10.0.0.11", "239.1.1.1", old(0x16, "239.1.1.1"), MACS[1]))
        assert both.compare(2, data("239.1.1.1")) == 3
        both.compare(0, igmp("10.0.0.1", "224.0.0.1", old(0x11, "", 1), MACS[2]))
        time.sleep(0.3)  # the kernel acts on a new querier only after the response time, which is 0.1 s in this query
        both.compare(1, igmp("10.0.0.11", "239.1.1.1", old(0x16, "239.1.1.1"), MACS[1]))
        both.compare(2, igmp("10.0.0.12", "224.0.0.22", record(4, "239.2.2.2"), MACS[3]))
        both.compare(3, igmp("10.0.0.13", "224.0.0.22", record(1, "239.2.2.2", "10.0.0.9"), MACS[4]))
        counts = [both.compare(3, data(group)) for group in ("239.1.1.1", "239.2.2.2", "239.9.9.9", "224.0.0.5")]
        assert counts == [2, 2, 1, 3]
