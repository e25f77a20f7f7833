"""Control messages, memberships, source filters, BPF filters and IGMP: random calls and messages, the same on both builds."""

import random
import struct

import pytest

import pystack
from tests.parity.test_parity import other  # noqa: F401 (a fixture)
from tests.support import build, worker
from tests.support.hostile import HOST, PEER
from tests.support.world import World

GROUPS = (0xEF010203, 0xEF010204, 0xE0000001, 0x0A000002)
SOURCES = (PEER, 0x0A000003, 0x7F000001)


def mreq(r):
    raw = struct.pack(">II", r.choice(GROUPS), r.choice((HOST, 0, 0x0A000099, 0x7F000001)))
    return r.choice((raw, raw, raw + struct.pack("=i", r.choice((0, 1, 2, 9))), raw[:5]))


def code(r):
    """A BPF program: right, wrong, or short."""
    instructions = [
        struct.pack("=HBBI", r.choice((0x20, 0x28, 0x30, 0x40, 0x50, 0xB1, 0x04, 0x0C, 0x54, 0x15, 0x07, 0x87, 0x02, 0x60, 0x34, 0x3C)),
                    r.randrange(3), r.randrange(3), r.choice((0, 1, 8, 20, 33, 0xFFF00009, 0xFFFFF004, 0xFFFFF028, r.getrandbits(32))))
        for _ in range(r.randrange(6))
    ]  # fmt: skip
    end = r.choice((0x06, 0x16, 0x16))
    return (
        b"".join(instructions)
        + struct.pack("=HBBI", 0x54, 0, 0, 0xFFFF)
        + struct.pack("=HBBI", end, 0, 0, r.choice((0, 9, 0xFFFF)))
    )


def option(r):
    """(level, name, value) of setsockopt."""
    name = r.choice((11, 32, 33, 34, 35, 35, 36, 37, 38, 39, 39, 40, 49))
    if name in (37, 38, 39, 40):
        return (
            0,
            name,
            struct.pack(">III", r.choice(GROUPS), r.choice((HOST, 0)), r.choice(SOURCES))[: r.choice((12, 12, 12, 11))],
        )
    if name in (32, 35, 36):
        return 0, name, mreq(r)
    if r.random() < 0.6:
        return r.choice(
            (
                (1, 26, code(r)),
                (1, 26, code(r)),
                (1, 26, code(r)),
                (1, 27, 0),
                (1, 44, r.choice((0, 0, 0, 1))),
                (0, 10, r.randrange(7)),
            )
        )
    return 0, name, r.choice((0, 1, 2, -1, 255, 256))


def igmp(r):
    """A frame with an IGMP message, mostly a query."""
    body = bytes((r.choice((0x11, 0x11, 0x11, 0x16, 0x12, 0x22, 0x99)), r.choice((0, 10, 100, 200)), 0, 0))
    body += struct.pack(">I", r.choice((0, *GROUPS)))
    if r.random() < 0.7:
        sources = [r.choice(SOURCES) for _ in range(r.choice((0, 0, 1, 3, 70)))]
        body += (
            b"\x02\x7d"
            + struct.pack(">H", len(sources) + r.choice((0, 0, 0, 5)))
            + b"".join(struct.pack(">I", one) for one in sources)
        )
    total = build.inverted(body) if len(body) % 2 == 0 else 0
    body = body[:2] + total.to_bytes(2, "big") + body[4:]
    to = r.choice((0xE0000001, 0xE0000001, *GROUPS))
    packet = build.ipv4(PEER, to, 2, body[: r.choice((len(body), len(body), 7))], ttl=r.choice((1, 1, 1, 1, 2)))
    return build.ether(packet, dst=0x01005E000000 | (to & 0x7FFFFF))


def datagram(r):
    to = r.choice((HOST, *GROUPS))
    body = build.udp(
        r.choice(SOURCES[:2]), r.choice((7, 53)), to, r.choice((53, 54)), r.randbytes(r.choice((0, 1, 40, 300)))
    )
    packet = build.ipv4(PEER, to, 17, body, tos=r.choice((0, 8)))
    return build.ether(packet, dst=0x01005E000000 | (to & 0x7FFFFF) if to >> 28 == 14 else build.MAC_HOST)


def control(r):
    """The argument of sendmsg: interface, source, TTL, TOS, options."""
    return (
        r.choice((None, 0, 1, 2, 9, -1)), r.choice((None, 0, HOST, PEER, 0xEF010203)), r.choice((None, 1, 99, 255)),
        r.choice((None, 0, 8)), r.choice((None, None, b"\x01\x01", b"\x07\x03\x04", b"\x07\x01")),
    )  # fmt: skip


def program(seed):
    """Steps of a world: three UDP sockets and a raw one."""
    r = random.Random(seed)
    steps = [("open", "udp", 3 + n) for n in range(2)] + [("open", "raw", 9, 17)]
    steps += [("call", "setsockopt", 3 + n, 1, 2, 1) for n in range(2)] + [
        ("call", "bind", 3 + n, 0, 53) for n in range(2)
    ]
    for _ in range(150):
        handle = r.choice((3, 4, 9))
        steps.append(
            r.choice(
                (
                    ("call", "setsockopt", handle, *option(r)),
                    ("call", "setsockopt", handle, *option(r)),
                    ("call", "getsockopt", handle, 0, r.choice((11, 32, 33, 34, 35, 49))),
                    (
                        "call",
                        "sendmsg",
                        handle,
                        r.randbytes(r.choice((0, 5, 1500))),
                        r.choice((PEER, *GROUPS, 0)),
                        53,
                        0,
                        control(r),
                    ),
                    ("call", "recvfrom", handle, r.choice((0, 0, 2, 0x2000))),
                    ("rx", "eth0", igmp(r), 0, 0),
                    ("rx", "eth0", datagram(r), 0, 0),
                    ("run", r.choice((1_000_000, 600_000_000, 11_000_000_000, 300_000_000_000))),
                )
            )
        )
    steps += [("call", "close", handle) for handle in (3, 4, 9)] + [("run", 20_000_000_000)]
    return {"seed": seed, "probe": True, "steps": steps}


@pytest.mark.parametrize("seed", range(40))
def test_nothing_breaks_and_nothing_stays(seed):
    """Every step ends without an exception other than OSError, and the closed sockets leave no group behind."""
    made = program(seed)
    world = World(made)
    for step in made["steps"]:
        world.apply(step)
    assert not any(iface.groups for iface in world.stack.ifaces)
    assert world.stack.poll_timeout() is None or world.stack.poll_timeout() > world.now


@pytest.mark.skipif(
    not all(pystack.compiled().values()), reason="the compiled run compares itself with the uncompiled core"
)
@pytest.mark.parametrize("seed", range(24))
def test_both_builds_do_the_same(other, seed):  # noqa: F811
    assert worker.compare(program(seed), other) == ""
