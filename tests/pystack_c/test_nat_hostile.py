"""Hostile packets through connection tracking and address translation.

The uncompiled build raises an exception if code reads beyond a packet. Both builds must do the same, so each seed has the
digest of everything that left. Whatever comes, the table stays bounded and whole, and every timer has its connection.
"""

import hashlib
import random
import struct

import pytest

import pystack_c.const as C
from tests import frames as f
from tests.support.natbox import IN, OUT, Box, echo, error, seal, tcp, udp

#: what leaves in 1500 steps, as a digest: the same on both builds
DIGESTS = {1: "93177ed5ccf4688f", 2: "0913b2dc1c48b96f", 3: "278f464c2fa041f9"}


def hostile(seed: int) -> tuple[Box, str]:
    """1500 packets, most of them damaged, mirrored or random."""
    rng = random.Random(seed)
    box = Box(probe=seed == 1, nf_conntrack_max=50, nat_endpoint_independent=seed == 2, nat_filtering=rng.randrange(3))
    out = box.ifaces[OUT]
    server = f.addr("10.0.0.9")
    box.stack.add_nat(C.HOOK_PREROUTING, C.NAT_DNAT, server, server, 80, 81, dst=f.addr("192.0.2.1"), dst_length=32)
    box.stack.add_nat(C.HOOK_POSTROUTING, C.NAT_MASQUERADE, iface=out)
    digest = hashlib.sha256()
    recent = [tcp("10.0.0.2", 1, "192.0.2.2", 2, C.SYN)]
    for _ in range(1500):
        packet = choose(rng, recent)
        if rng.random() < 0.3:
            packet = damaged(rng, packet)
        flags, gso = (C.RX_CSUM_OK, rng.choice((0, 100))) if rng.random() < 0.2 else (0, 0)
        for iface, data in box.send(rng.choice((IN, OUT)), packet, flags, gso):
            digest.update(bytes([iface]) + data)
            recent = [*recent[-8:], data]
        if rng.random() < 0.05:
            box.later(rng.choice((0.1, 5, 100)))
        assert box.table.count <= 50 and len(box.stack.timers) < 400
    return box, digest.hexdigest()[:16]


def choose(rng: random.Random, recent: list[bytes]) -> bytes:
    """A packet of any kind between a few hosts."""
    hosts = ["10.0.0.2", "10.0.0.9", "192.0.2.1", "192.0.2.2", "10.0.0.1", "255.255.255.255", "0.0.0.0", "127.0.0.1"]
    src, dst = (
        rng.choice(hosts[:5] if rng.random() < 0.9 else hosts),
        rng.choice(hosts[:5] if rng.random() < 0.9 else hosts),
    )
    sport, dport = rng.choice((0, 1, 80, 65535)), rng.choice((0, 2, 80, 81))
    kind = rng.randrange(6)
    if kind == 0:
        options = bytes(rng.randrange(256) for _ in range(rng.randrange(0, 41, 4)))
        return tcp(
            src,
            sport,
            dst,
            dport,
            rng.randrange(256),
            rng.getrandbits(32),
            rng.getrandbits(32),
            bytes(rng.randrange(300)),
            options=options,
        )
    if kind == 1:
        return udp(src, sport, dst, dport, bytes(rng.randrange(50)))
    if kind == 2:
        return echo(src, dst, rng.randrange(3), rng.choice((0, 8, 13, 14, 15, 17, 18, 30)))
    quoted = rng.choice(recent)
    if kind == 3:
        return error(
            src, dst, quoted[: rng.randrange(len(quoted) + 1)], rng.choice((3, 4, 5, 11, 12)), rng.randrange(5)
        )
    if kind == 4:
        mirror = bytearray(quoted)
        mirror[12:16], mirror[16:20] = quoted[16:20], quoted[12:16]
        if len(mirror) >= 24:
            mirror[20:22], mirror[22:24] = quoted[22:24], quoted[20:22]
        return seal(mirror)
    return seal(f.ipv4(src, dst, rng.randrange(256), bytes(rng.randrange(40))))


def damaged(rng: random.Random, packet: bytes) -> bytes:
    """The packet cut, changed, or as a fragment, with a right IP header."""
    data = bytearray(packet)
    how = rng.randrange(3)
    if how == 0:
        del data[rng.randrange(20, len(data) + 1) :]
    elif how == 1 and len(data) > 20:
        data[rng.randrange(20, len(data))] = rng.randrange(256)
    else:
        data[6:8] = struct.pack(">H", rng.choice((0x2000, 0x2001, 1, 2, 0x1FFF, 0x4000)))
    data[2:4] = struct.pack(">H", len(data))
    data[10:12] = b"\0\0"
    data[10:12] = struct.pack(">H", f.ones(bytes(data[:20])) ^ 0xFFFF)
    return bytes(data) if rng.random() < 0.5 else seal(data)


@pytest.mark.parametrize("seed", DIGESTS)
def test_hostile_packets_do_no_harm_and_both_builds_agree(seed):
    box, digest = hostile(seed)
    entries = box.table.all()
    assert len(entries) == box.table.count and 2 * len(entries) == box.table.halves
    assert all(entry.timer.armed() for entry in entries)
    held = {id(entry) for mapping in box.stack.nat.internal.values() for entry in mapping.entries.values()}
    assert held <= {id(entry) for entry in entries}
    assert digest == DIGESTS[seed]
    box.later(10 * 86400)
    assert box.table.count == 0 and not box.stack.nat.internal and not box.stack.nat.external
    assert not any(box.table.places) and not box.table.unassured
