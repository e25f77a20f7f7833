"""IGMP, the host's side: reports of changes, answers to queries, older routers, hostile messages."""

import pytest

import pystack_c.const as C
from pystack_c.base.address import addr_bytes
from pystack_c.ip import igmp
from pystack_c.sockets import sockopt, udp
from pystack_c.wire.checksum import sum_any
from tests import frames as f
from tests.support.peer import Peer, S

GROUP, OTHER = "239.1.2.3", "239.9.9.9"
ALL, ROUTERS, REPORTS = "224.0.0.1", "224.0.0.2", "224.0.0.22"
IS_IN, IS_EX, TO_IN, TO_EX, ALLOW, BLOCK = range(1, 7)


def socket_of(peer):
    return peer.call(udp.udp_open, peer.stack)


def join(peer, ep, group, name=sockopt.IP_ADD_MEMBERSHIP, source=None):
    value = addr_bytes(f.addr(group)) + addr_bytes(peer.addr)
    peer.call(udp.setsockopt, ep, 0, name, value + (addr_bytes(f.addr(source)) if source else b""))


def leave(peer, ep, group):
    join(peer, ep, group, sockopt.IP_DROP_MEMBERSHIP)


def text(number):
    return ".".join(str(byte) for byte in number)


def records(message):
    """The group records of a version 3 report: (type, group, sources)."""
    assert message[0] == 0x22 and sum_any(message, 0) == 0xFFFF
    found, at = [], 8
    for _ in range(int.from_bytes(message[6:8], "big")):
        count = int.from_bytes(message[at + 2 : at + 4], "big")
        sources = [text(message[at + 8 + 4 * n : at + 12 + 4 * n]) for n in range(count)]
        found.append((message[at], text(message[at + 4 : at + 8]), sources))
        at += 8 + 4 * count
    assert at == len(message)
    return found


def told(frames):
    """What IGMP messages say, with the address that they are sent to: a list of records, or (type, group)."""
    out = []
    for frame in frames:
        if frame.ip is None or frame.ip.proto != 2:
            continue
        assert (frame.ip.ttl, frame.ip.tos, frame.ip.options) == (1, 0xC0, b"\x94\x04\0\0")
        assert frame.eth_dst == 0x01005E000000 | (frame.ip.dst & 0x7FFFFF)
        message = frame.l4
        out.append(records(message) if message[0] == 0x22 else (message[0], text(message[4:8])))
        to = text(addr_bytes(frame.ip.dst))
        assert to == {0x22: REPORTS, 0x17: ROUTERS}.get(message[0], text(message[4:8]))
    return out


def fresh(peer):
    """The frames since the last call."""
    seen = list(peer.seen)
    peer.seen.clear()
    return seen


def message(peer, body, to=ALL, ttl=1, src="10.0.0.2"):
    """Deliver an IGMP message; `body` has no checksum."""
    checksum = sum_any(body, 0) ^ 0xFFFF
    body = body[:2] + checksum.to_bytes(2, "big") + body[4:]
    mac = 0x01005E000000 | (f.addr(to) & 0x7FFFFF)
    peer.packet(f.ipv4(src, to, 2, body, ttl=ttl), eth_dst=mac)


def query(group="0.0.0.0", code=10, sources=(), to=ALL, **options):
    body = bytes((0x11, code, 0, 0)) + addr_bytes(f.addr(group)).rjust(4, b"\0")
    return body + b"\x02\x7d" + len(sources).to_bytes(2, "big") + b"".join(addr_bytes(f.addr(one)) for one in sources)


def test_a_change_is_reported_at_once_and_again():
    peer = Peer()
    ep, other = socket_of(peer), socket_of(peer)
    join(peer, ep, GROUP)
    assert told(fresh(peer)) == [[(TO_EX, GROUP, [])]]
    again = peer.run(1.1)
    assert told(again) == [[(TO_EX, GROUP, [])]] and 0 < again[0].time <= S
    assert told(peer.run(60)) == []
    fresh(peer)
    join(peer, other, GROUP)
    leave(peer, ep, GROUP)
    assert told(fresh(peer)) == [] and told(peer.run(60)) == []
    peer.call(udp.close, other)
    assert told(fresh(peer)) == [[(TO_IN, GROUP, [])]]
    assert told(peer.run(2)) == [[(TO_IN, GROUP, [])]]
    assert not peer.iface.groups and told(peer.run(60)) == []


def test_a_group_that_is_joined_again_is_not_left_by_a_late_report():
    peer = Peer()
    ep = socket_of(peer)
    join(peer, ep, GROUP)
    leave(peer, ep, GROUP)
    join(peer, ep, GROUP)
    assert [one[0][0] for one in told(fresh(peer))] == [TO_EX, TO_IN, TO_EX]
    assert told(peer.run(30)) == [[(TO_EX, GROUP, [])]]
    leave(peer, ep, GROUP)
    assert list(peer.iface.igmp.leaving) and told(peer.run(30)) == [[(TO_IN, GROUP, [])]]
    assert not peer.iface.igmp.leaving and not peer.iface.groups


def test_the_robustness_variable_is_a_setting():
    peer = Peer(igmp_qrv=4)
    join(peer, socket_of(peer), GROUP)
    assert len(told(fresh(peer))) + len(told(peer.run(10))) == 4


def test_sources_of_all_sockets_are_joined():
    """RFC 3376 3.2: a list to exclude wins, without what another socket includes."""
    peer = Peer()
    first, second, third = socket_of(peer), socket_of(peer), socket_of(peer)
    add, block, drop, unblock = 39, 38, 40, 37
    steps = [
        (first, add, "10.0.0.7", [[(ALLOW, GROUP, ["10.0.0.7"])]]),
        (first, add, "10.0.0.8", [[(ALLOW, GROUP, ["10.0.0.7", "10.0.0.8"])]]),
        (second, add, "10.0.0.8", []),
        (first, drop, "10.0.0.8", []),
        (second, drop, "10.0.0.8", [[(ALLOW, GROUP, ["10.0.0.7"]), (BLOCK, GROUP, ["10.0.0.8"])]]),
        (third, sockopt.IP_ADD_MEMBERSHIP, None, [[(TO_EX, GROUP, [])]]),
        (third, block, "10.0.0.7", []),
        (third, block, "10.0.0.9", [[(TO_EX, GROUP, []), (BLOCK, GROUP, ["10.0.0.9"])]]),
        (third, unblock, "10.0.0.9", None),
        (third, sockopt.IP_DROP_MEMBERSHIP, None, [[(TO_IN, GROUP, ["10.0.0.7"])]]),
        (first, drop, "10.0.0.7", None),
    ]
    for place, (ep, name, source, expected) in enumerate(steps):
        join(peer, ep, GROUP, name, source)
        seen = told(fresh(peer))
        assert expected is None or seen == expected, place
    # The last repetition makes the router forget the group.
    peer.run(5)
    assert not peer.iface.groups


def test_general_query():
    peer = Peer()
    ep = socket_of(peer)
    for group in (GROUP, OTHER, ALL):
        join(peer, ep, group)
    join(peer, ep, OTHER, 38, "10.0.0.9")
    peer.run(5)
    fresh(peer)
    message(peer, query(code=100))
    assert told(fresh(peer)) == []
    answers = peer.run(10)
    assert told(answers) == [[(IS_EX, GROUP, []), (IS_EX, OTHER, ["10.0.0.9"])]]
    # A second query does not postpone the answer, and each host waits for another time.
    message(peer, query(code=100))
    due = peer.iface.igmp.timer.deadline
    message(peer, query(code=100))
    assert peer.iface.igmp.timer.deadline <= due
    assert len(told(peer.run(20))) == 1


def test_a_query_without_groups_has_no_answer():
    peer = Peer()
    message(peer, query())
    assert told(peer.run(20)) == [] and not peer.iface.igmp.timer.armed()


def test_query_of_a_group_and_of_sources():
    peer = Peer()
    first, second = socket_of(peer), socket_of(peer)
    join(peer, first, GROUP)
    join(peer, first, GROUP, 38, "10.0.0.9")
    join(peer, second, OTHER, 39, "10.0.0.7")
    peer.run(5)

    def asks(group, *sources):
        message(peer, query(group, 10, sources), to=group)
        return told(peer.run(5))

    assert asks(GROUP) == [[(IS_EX, GROUP, ["10.0.0.9"])]]
    assert asks(GROUP, "10.0.0.9") == []
    assert asks(GROUP, "10.0.0.9", "10.0.0.7") == [[(IS_IN, GROUP, ["10.0.0.7"])]]
    assert asks(OTHER) == [[(IS_IN, OTHER, ["10.0.0.7"])]]
    assert asks(OTHER, "10.0.0.7", "10.0.0.8") == [[(IS_IN, OTHER, ["10.0.0.7"])]]
    assert asks("239.4.4.4") == []
    # Two queries before the answer: their sources are joined, and one for the whole group replaces them.
    message(peer, query(GROUP, 10, ["10.0.0.7"]), to=GROUP)
    message(peer, query(GROUP, 10, ["10.0.0.8"]), to=GROUP)
    assert told(peer.run(5)) == [[(IS_IN, GROUP, ["10.0.0.7", "10.0.0.8"])]]
    message(peer, query(GROUP, 10, ["10.0.0.7"]), to=GROUP)
    message(peer, query(GROUP, 10), to=GROUP)
    assert told(peer.run(5)) == [[(IS_EX, GROUP, ["10.0.0.9"])]]


def test_a_router_of_version_2():
    peer = Peer()
    ep = socket_of(peer)
    join(peer, ep, GROUP)
    peer.run(5)
    fresh(peer)
    message(peer, bytes((0x11, 50)) + bytes(6))
    answers = peer.run(5.1)
    assert told(answers) == [(0x16, GROUP)]
    join(peer, ep, OTHER)
    assert told(fresh(peer)[len(answers) :]) == [(0x16, OTHER)]
    # The repetition within ten seconds; then another member answers before this host.
    assert told(peer.run(10)) == [(0x16, OTHER)]
    message(peer, bytes((0x11, 100, 0, 0)) + addr_bytes(f.addr(OTHER)), to=OTHER)
    message(peer, bytes((0x16, 0, 0, 0)) + addr_bytes(f.addr(OTHER)), to=OTHER)
    assert told(peer.run(15)) == []
    fresh(peer)
    leave(peer, ep, OTHER)  # the other one reported last, so this host need not say that it leaves
    leave(peer, ep, GROUP)
    assert told(fresh(peer)) == [(0x17, GROUP)]
    # Without queries, version 3 comes back.
    peer.run(300)
    join(peer, ep, OTHER)
    assert told(fresh(peer)) == [[(TO_EX, OTHER, [])]]


def test_a_router_of_version_1():
    peer = Peer()
    ep = socket_of(peer)
    join(peer, ep, GROUP)
    peer.run(5)
    fresh(peer)
    message(peer, bytes((0x11, 0)) + bytes(6))
    assert told(peer.run(10.1)) == [(0x12, GROUP)]
    fresh(peer)
    leave(peer, ep, GROUP)
    assert told(fresh(peer)) == []


def test_many_groups_need_several_reports():
    peer = Peer(mtu=576)
    for number in range(100):
        join(peer, socket_of(peer), f"239.2.0.{number}")
    peer.run(5)
    message(peer, query())
    answers = peer.run(5)
    assert all(frame.ip.total <= 576 for frame in answers)
    assert sum((told([frame])[0] for frame in answers), []) == [
        (IS_EX, f"239.2.0.{number}", []) for number in range(100)
    ]


@pytest.mark.parametrize(
    "body, options, reason",
    [
        (b"\x11\x64\0\0\0\0\0", {}, "shorter than 8"),
        (bytes((0x11, 10)) + bytes(7), {}, "length of no version"),
        (query(sources=["10.0.0.7", "10.0.0.8"])[:-4], {}, "shorter than its sources"),
        (query(), {"ttl": 2}, "TTL"),
        (query(), {"to": GROUP}, "not sent to all hosts"),
        (bytes((0x77,)) + bytes(7), {}, "not known"),
    ],
)
def test_wrong_messages_are_dropped(body, options, reason):
    peer = Peer()
    join(peer, socket_of(peer), GROUP)
    peer.run(5)
    before = peer.drops.get("igmp-refused", 0)
    message(peer, body, **options)
    assert peer.drops["igmp-refused"] == before + 1
    assert reason in peer.events("drop")[-1].reason
    assert told(peer.run(300)) == []


def test_a_wrong_checksum_is_dropped():
    peer = Peer()
    join(peer, socket_of(peer), GROUP)
    peer.run(5)
    peer.packet(f.ipv4("10.0.0.2", ALL, 2, query(), ttl=1), eth_dst=0x01005E000001)
    assert "checksum" in peer.events("drop")[-1].reason and told(peer.run(20)) == []


def test_response_times():
    """RFC 3376 4.1.1: from 128 on, the code is a floating-point number."""
    tenths = [igmp._response_time(code) * 10 // S for code in (0, 1, 127, 128, 129, 255)]
    assert tenths == [0, 1, 127, 128, 136, 31744]


def test_loopback_and_all_hosts_are_not_reported():
    peer = Peer()
    ep = socket_of(peer)
    join(peer, ep, ALL)
    value = addr_bytes(f.addr(GROUP)) + addr_bytes(f.addr("127.0.0.1"))
    peer.call(udp.setsockopt, ep, 0, sockopt.IP_ADD_MEMBERSHIP, value)
    assert told(fresh(peer)) == [] and told(peer.run(20)) == []
    assert C.IPPROTO_IGMP == 2
