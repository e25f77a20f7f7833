"""A group of segments (GSO) passes a router as one packet if the next device takes it, and is cut if it does not.

Either way the same segments are on the wire behind the device.
"""

import json
import random

import pytest

import pystack_c.const as C
from pystack.phy.segmenter import segments
from pystack_c.config import Config
from pystack_c.stack import Stack
from tests import frames as f

SRC, DST = "10.0.0.2", "192.0.2.2"


class Router:
    """A router whose way out has a device with these abilities."""

    def __init__(self, tx_csum, gso_max, mtu=1500, nat=False):
        self.stack = Stack(3, Config(ip_forward=True), "router")
        self.near = self.stack.add_iface("eth0", C.LINK_ETHERNET, f.MAC_B, 65535)
        self.far = self.stack.add_iface("eth1", C.LINK_ETHERNET, 0x0200000000AC, mtu, tx_csum, gso_max)
        self.stack.add_addr(self.near, f.addr("10.0.0.1"), 24)
        self.stack.add_addr(self.far, f.addr("192.0.2.1"), 24)
        self.stack.add_neighbor(self.far, f.addr(DST), 0x0200000000DD)
        if nat:
            self.stack.add_nat(C.HOOK_POSTROUTING, C.NAT_MASQUERADE, iface=self.far)

    def pass_on(self, packet, gso_size):
        """Give the router a group, and return the Transmits that leave."""
        self.stack.receive(self.near, f.ether(packet), 1_000_000, 0, C.RX_CSUM_OK, gso_size)
        found = []
        while (tx := self.stack.poll_transmit(1_000_000)) is not None:
            found.append(tx)
        return found


def group(rng, size, flags=None, options=b"", partial=True, ttl=64):
    data = rng.randbytes(size)
    flags = rng.choice((16, 24, 25, 16 | 128)) if flags is None else flags
    segment = f.tcp(SRC, 1000, DST, 80, flags, rng.getrandbits(32), 7, data, options, partial=partial)
    return f.ipv4(SRC, DST, 6, segment, ident=rng.randrange(65536), fragment=0x4000, ttl=ttl)


def on_the_wire(transmits):
    return [frame for tx in transmits for frame in segments(tx)]


@pytest.mark.parametrize("nat", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_whole_and_cut_are_the_same_on_the_wire(seed, nat):
    rng = random.Random(seed)
    for _ in range(30):
        size = rng.randrange(1, 9000)
        mss = rng.choice((1, 536, 1000, 1448)) if size < 3000 else rng.choice((536, 1000, 1448))
        # An MSS of 1 byte would be thousands of segments.
        mss = max(mss, size // 40)
        packet = group(rng, size, 2 if nat else None, rng.choice((b"", b"\1\1\1\0")), rng.random() < 0.5)
        whole = Router(True, 65535, nat=nat).pass_on(packet, mss)
        cut = Router(True, 0, nat=nat).pass_on(packet, mss)
        assert [tx.gso_size for tx in whole] == [mss] and len(cut) == -(-size // mss)
        assert on_the_wire(whole) == on_the_wire(cut)
        for frame in on_the_wire(whole):
            body = frame[14:]
            src = ".".join(map(str, body[12:16]))
            assert src == ("192.0.2.1" if nat else SRC) and body[8] == 63 and f.ones(body[:20]) == 0xFFFF
            assert f.ones(f.pseudo(src, DST, 6, len(body) - 20) + body[20:]) == 0xFFFF


@pytest.mark.parametrize(
    "abilities, whole",
    [((True, 65535), True), ((True, 5000), False), ((False, 65535), False), ((True, 0), False)],
)
def test_the_device_decides(abilities, whole):
    found = Router(*abilities).pass_on(group(random.Random(1), 6000), 1448)
    assert len(found) == (1 if whole else 5) and found[0].gso_size == (1448 if whole else 0)
    assert found[0].csum_start == (34 if whole else 0)


def test_segments_that_are_larger_than_the_next_link_are_not_passed_on_as_a_group():
    router = Router(True, 65535, mtu=1400)
    router.pass_on(group(random.Random(1), 6000), 1448)
    assert router.stack.counters.drops == {"forward-too-big": 1} and router.stack.counters.IpFragFails == 1
    assert router.stack.counters.IpForwDatagrams == 0


def test_a_group_counts_as_one_datagram_and_an_expired_one_is_dropped():
    router = Router(True, 65535)
    router.pass_on(group(random.Random(1), 6000), 1448)
    assert router.stack.counters.IpForwDatagrams == router.stack.counters.IpOutTransmits == 1
    router.pass_on(group(random.Random(1), 6000, ttl=1), 1448)
    assert router.stack.counters.drops == {"forward-ttl": 1} and router.stack.counters.IpForwDatagrams == 1


@pytest.mark.parametrize("gso_max", [0, 65535])
def test_a_rule_that_changes_the_tcp_header_holds_for_all_segments_of_a_group(gso_max):
    router = Router(True, gso_max)
    changes = [
        {"mangle": {"key": {"payload": {"protocol": "tcp", "field": field}}, "value": value}}
        for field, value in (("sequence", 1000), ("window", 77))
    ]
    where = {"family": "ip", "table": "t"}
    base = {"type": "filter", "hook": "postrouting", "prio": 0, "policy": "accept"}
    commands = [
        {"table": {"family": "ip", "name": "t"}},
        {"chain": where | {"name": "last"} | base},
        {"rule": where | {"chain": "last", "expr": changes}},
    ]
    router.stack.nft(json.dumps({"nftables": [{"add": command} for command in commands]}))
    frames = on_the_wire(router.pass_on(group(random.Random(1), 3000), 1448))
    assert [int.from_bytes(frame[38:42], "big") for frame in frames] == [1000, 2448, 3896]
    assert {int.from_bytes(frame[48:50], "big") for frame in frames} == {77}
    for frame in frames:
        assert f.ones(f.pseudo(SRC, DST, 6, len(frame) - 34) + frame[34:]) == 0xFFFF
