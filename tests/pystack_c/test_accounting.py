"""The books balance: each received frame is delivered, answered, forwarded, held, or counted as a drop; and each event is
of a kind that probe.KINDS declares, with its fields."""

import re
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

import pystack_c
import pystack_c.const as C
from pystack_c.counters import NAMES
from pystack_c.probe import KINDS
from pystack_c.sockets import raw, udp
from pystack_c.tcp import user
from tests import frames as f
from tests.support.peer import PEER_MAC, STACK_MAC, Peer, ip_packet

QUOTE = ip_packet("10.0.0.1", "10.0.0.2", 17, f.udp("10.0.0.1", 53, "10.0.0.2", 9, b"quoted"))
PAYLOADS = [
    (1, f.icmp(8, 0, b"\0\1\0\1", b"ping")),
    (1, f.icmp(3, 3, bytes(4), QUOTE)),
    (1, f.icmp(0, 0, b"\0\1\0\1", b"pong")),
    (17, f.udp("10.0.0.2", 1000, "10.0.0.1", 53, b"query")),
    (17, f.udp("10.0.0.2", 1000, "10.0.0.1", 54, b"nobody")),
    (6, f.tcp("10.0.0.2", 1000, "10.0.0.1", 80, C.SYN, 1, 0, options=b"\2\4\5\xb4")),
    (6, f.tcp("10.0.0.2", 1000, "10.0.0.1", 81, C.SYN, 1, 0)),
    (6, f.tcp("10.0.0.2", 1001, "10.0.0.1", 80, C.ACK, 1, 1, b"stray")),
    (89, b"routing"),
    (132, b"unknown"),
]
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "dst": st.sampled_from(["10.0.0.1", "10.0.0.255", "192.0.2.2", "224.0.0.1", "198.51.100.1", "255.255.255.255"]),
        "src": st.sampled_from(["10.0.0.2", "10.0.0.3", "10.0.0.1", "127.0.0.1", "0.0.0.0", "224.0.0.1"]),
        "ttl": st.sampled_from([0, 1, 64]),
        "mf": st.booleans(),
        "offset": st.sampled_from([0, 8, 16, 65528]),
        "df": st.booleans(),
        "options": st.sampled_from([b"", b"\1\1\1\1", b"\7\0\0\0", b"\x83\7\4\0\0\0\0", b"\7\7\4\0\0\0\0"]),
        "total": st.sampled_from([20, 24, 28, 40, 1000]),
    },
)
ARPS = st.builds(
    f.arp, st.sampled_from([1, 2, 3]), st.sampled_from([PEER_MAC, STACK_MAC, 0x01005E000001]),
    st.sampled_from(["10.0.0.2", "10.0.0.1", "0.0.0.0", "10.0.0.9"]), st.just(0),
    st.sampled_from(["10.0.0.1", "10.0.0.2", "10.0.0.9"]),
)  # fmt: skip
MACS = st.sampled_from([STACK_MAC, STACK_MAC, STACK_MAC, 0xFFFFFFFFFFFF, 0x0200000000EE])


@st.composite
def frames(draw) -> bytes:
    """A frame that is nearly right, or wrong somewhere."""
    if draw(st.integers(0, 4)) == 0:
        frame = f.ether(draw(ARPS), 0x0806, PEER_MAC, draw(MACS))
    else:
        proto, payload = draw(st.sampled_from(PAYLOADS))
        frame = f.ether(ip_packet(proto=proto, payload=payload, **draw(HEADERS)), 0x0800, PEER_MAC, draw(MACS))
    for at, value in draw(st.lists(st.tuples(st.integers(0, len(frame) - 1), st.integers(0, 255)), max_size=2)):
        frame = frame[:at] + bytes([value]) + frame[at + 1 :]
    return frame[: draw(st.integers(0, len(frame)))] if draw(st.integers(0, 5)) == 0 else frame


def crowded(forward: bool) -> Peer:
    """A stack with a socket of each kind."""
    peer = Peer(known=False, ip_forward=forward, udp_rmem=4000)
    far = peer.stack.add_iface("eth1", C.LINK_ETHERNET, 0x0200000000AC)
    peer.stack.add_addr(far, f.addr("192.0.2.1"), 24)
    ep = peer.call(udp.udp_open, peer.stack)
    peer.call(udp.bind, ep, 0, 53)
    peer.call(raw.raw_open, peer.stack, 89)
    tcb = peer.call(user.tcp_open, peer.stack)
    peer.call(user.bind, tcb, 0, 80)
    peer.call(user.listen, tcb, 2)
    return peer


def check(events) -> None:
    """Every event as declared; every frame.in followed by what became of it."""
    waiting = None
    for event in events:
        assert event.kind in KINDS, event
        assert set(event.fields) == set(KINDS[event.kind][0]), event
        assert event.reason and event.rfc, f"no word why: {event}"
        if event.kind == "frame.in":
            assert waiting is None, f"nothing is said about {waiting}"
            waiting = event
        elif event.kind not in ("frame.out", "timer.fired", "ip.in"):
            waiting = None
    assert waiting is None, f"nothing is said about {waiting}"


@given(st.lists(frames(), min_size=1, max_size=12), st.booleans())
@settings(max_examples=300)
def test_every_frame_is_accounted_for(received, forward):
    peer = crowded(forward)
    for frame in received:
        peer.frame(frame)
        peer.now += 1_000_000
    peer.run(100)
    check(peer.probe.events)
    drops = sum(1 for event in peer.probe.events if event.kind == "drop")
    assert drops == sum(peer.drops.values())


def test_the_check_can_fail():
    """Control: a frame without a word about it, and an event that nobody declared."""
    peer = crowded(False)
    peer.frame(b"x")
    events = [event for event in peer.probe.events if event.kind != "drop"]
    for broken in (events, [*peer.probe.events, type(events[0])("new.kind", 0, "", "", 0, "", "", {})]):
        try:
            check(broken)
        except AssertionError:
            continue
        raise RuntimeError("the check sees nothing")


def test_every_counter_is_counted_somewhere():
    """A name that nothing counts would read as "it never happens". (The IcmpOut* by type come from a table of names.)"""
    package = Path(pystack_c.__file__).parent
    source = "\n".join(path.read_text() for path in package.rglob("*.py") if path.name != "counters.py")
    dead = [name for name in NAMES if not re.search(rf"\b{name}\b", source)]
    assert dead == []
    assert "TcpExtTCPHPHits" not in NAMES  # the control: what nothing counts is not offered
