"""The five places of a packet filter: which packets pass which of them, in which order, and what a verdict does."""

import contextlib
import errno

import pytest

import pystack_c.const as C
from pystack.testing.peer import Peer as TcpPeer
from pystack.testing.peer import S
from pystack_c.filter import hooks
from pystack_c.route import slot
from pystack_c.sockets import raw, sockopt, udp
from tests import frames as f
from tests.pystack_c.test_forward import router
from tests.support.peer import PEER_MAC, STACK_MAC, Peer, ip_packet

ECHO = f.icmp(8, 0, b"\0\1\0\1", b"ping")


def watch(peer: Peer, verdict: int = hooks.ACCEPT, at: int = -1) -> list[str]:
    """A hook at each place that notes the place; at place `at` it returns `verdict`."""
    seen: list[str] = []

    def hook(core, place, iface, packet):
        seen.append(f"{hooks.NAMES[place]} {iface.name}")
        return verdict if place == at else hooks.ACCEPT

    for place in range(5):
        hooks.attach(peer.stack, place, hook)
    return seen


def test_a_request_and_its_reply_pass_four_places():
    peer = Peer()
    seen = watch(peer)
    assert len(peer.send(ECHO, 1)) == 1
    assert seen == ["prerouting eth0", "input eth0", "output eth0", "postrouting eth0"]


def test_a_forwarded_packet_passes_three_places():
    peer = router()
    seen = watch(peer)
    assert len(peer.send(ECHO, 1, dst="192.0.2.2", ttl=9)) == 1
    assert seen == ["prerouting eth0", "forward eth0", "postrouting eth1"]


@pytest.mark.parametrize(("at", "places"), [(0, 1), (1, 2), (3, 3), (4, 4)])
def test_a_drop_ends_the_way_and_is_counted(at, places):
    peer = Peer()
    seen = watch(peer, hooks.DROP, at)
    assert peer.send(ECHO, 1) == []
    assert len(seen) == places
    assert peer.drops[f"filter-{hooks.NAMES[at]}"] == 1


def test_a_forwarded_packet_is_dropped_at_forward():
    peer = router()
    seen = watch(peer, hooks.DROP, hooks.FORWARD)
    assert peer.send(ECHO, 1, dst="192.0.2.2", ttl=9) == []
    assert seen[-1] == "forward eth0" and peer.drops == {"filter-forward": 1}


def test_a_stolen_packet_goes_no_further_and_is_no_drop():
    peer = Peer()
    watch(peer, hooks.STOLEN, hooks.INPUT)
    assert peer.send(ECHO, 1) == []
    assert peer.drops == {}


def test_a_refused_send_is_eperm_as_on_linux():
    peer = Peer()
    watch(peer, hooks.DROP, hooks.OUTPUT)
    socket = peer.call(udp.udp_open, peer.stack)
    with pytest.raises(OSError) as caught:
        peer.call(udp.sendto, socket, b"data", peer.me, 9, 0)
    assert caught.value.errno == errno.EPERM


def test_priorities_order_the_hooks_and_a_drop_ends_the_rest():
    peer = Peer()
    order: list[str] = []

    def hook(name, verdict=hooks.ACCEPT):
        def run(core, place, iface, packet):
            order.append(name)
            return verdict

        return run

    for name, priority in (("late", 100), ("early", -100), ("second", 0), ("third", 0)):
        hooks.attach(peer.stack, hooks.INPUT, hook(name), priority)
    peer.send(ECHO, 1)
    assert order == ["early", "second", "third", "late"]
    order.clear()
    hooks.attach(peer.stack, hooks.INPUT, hook("drops", hooks.DROP), -50)
    peer.send(ECHO, 1)
    assert order == ["early", "drops"]


def test_a_hook_that_removes_itself_hides_no_other_hook():
    peer = Peer()
    order: list[str] = []

    def once(core, place, iface, packet):
        order.append("once")
        hooks.detach(core, hooks.INPUT, once)
        return hooks.ACCEPT

    def after(core, place, iface, packet):
        order.append("after")
        return hooks.ACCEPT

    hooks.attach(peer.stack, hooks.INPUT, once)
    hooks.attach(peer.stack, hooks.INPUT, after)
    peer.send(ECHO, 1)
    assert order == ["once", "after"]
    peer.send(ECHO, 1)
    assert order == ["once", "after", "after"]


@pytest.mark.parametrize("place", [hooks.OUTPUT, hooks.POSTROUTING])
def test_a_stolen_packet_has_been_sent_for_its_sender_as_on_linux(place):
    peer = Peer()
    watch(peer, hooks.STOLEN, place)
    socket = peer.call(udp.udp_open, peer.stack)
    assert peer.call(udp.sendto, socket, b"data", peer.me, 9, 0) == 4
    assert peer.seen == [] and peer.drops == {}
    assert peer.stack.counters.UdpOutDatagrams == 1


@pytest.mark.parametrize(("verdict", "copies"), [(hooks.ACCEPT, 1), (hooks.STOLEN, 0)])
def test_no_copy_of_a_stolen_broadcast_comes_back(verdict, copies):
    peer = Peer()
    watch(peer, verdict, hooks.OUTPUT)
    socket = peer.call(udp.udp_open, peer.stack)
    peer.call(udp.setsockopt, socket, sockopt.SOL_SOCKET, sockopt.SO_BROADCAST, 1)
    peer.call(udp.bind, socket, 0, 53)
    assert peer.call(udp.sendto, socket, b"data", f.addr("10.0.0.255"), 53, 0) == 4
    assert socket.queue.count == copies


@pytest.mark.parametrize("verdict", [hooks.ACCEPT, hooks.DROP, hooks.STOLEN])
def test_the_record_keeps_no_payload(verdict):
    """The record does not keep the payload of a packet that a hook refused or took over, that is too long, or that was forwarded."""
    peer = router()
    watch(peer, verdict, hooks.POSTROUTING)
    socket = peer.call(udp.udp_open, peer.stack)
    peer.call(udp.setsockopt, socket, sockopt.IPPROTO_IP, sockopt.IP_MTU_DISCOVER, 2)
    for size in (4, 3000, 65507):
        with contextlib.suppress(OSError):
            peer.call(udp.sendto, socket, bytes(size), peer.me, 9, 0)
        assert peer.stack.out.payload is None
    with pytest.raises(OSError) as caught:
        peer.call(udp.setsockopt, socket, sockopt.IPPROTO_IP, sockopt.IP_OPTIONS, bytes([1] * 40))
        peer.call(udp.sendto, socket, bytes(65507), peer.me, 9, 0)
    assert caught.value.errno == errno.EMSGSIZE and peer.stack.out.payload is None
    peer.send(ECHO, 1, dst="192.0.2.2", ttl=9)
    assert peer.stack.out.payload is None


def test_a_hook_sees_an_offloaded_group_whole():
    """At postrouting, before a router cuts the group, the record is as complete as that of a single packet."""
    peer = router()
    seen = []

    def hook(core, place, iface, out):
        seen.append((out.src, out.daddr, out.proto, out.ttl, out.tos, out.gso_size, bytes(out.payload)))
        return hooks.ACCEPT if len(seen) == 1 else hooks.DROP

    hooks.attach(peer.stack, hooks.POSTROUTING, hook)
    data = bytes(range(250)) * 10
    group = f.tcp("10.0.0.2", 5, "192.0.2.2", 80, C.ACK, 1, 9, data, partial=True)
    packet = ip_packet("10.0.0.2", "192.0.2.2", 6, group, ttl=9, tos=0x20)
    frame = f.ether(packet, 0x0800, PEER_MAC, STACK_MAC)
    peer.stack.receive(peer.iface, frame, 0, 0, C.RX_CSUM_OK, 1000)
    sizes = [len(segment.l4) for segment in peer.drain()]
    assert sizes == [1020, 1020, 520]
    peer.stack.receive(peer.iface, frame, 0, 0, C.RX_CSUM_OK, 1000)
    assert peer.drain() == [] and peer.stack.out.payload is None
    assert seen == [(f.addr("10.0.0.2"), f.addr("192.0.2.2"), 6, 8, 0x20, 1000, group)] * 2


@pytest.mark.parametrize("place", [hooks.PREROUTING, hooks.INPUT, hooks.OUTPUT, hooks.POSTROUTING])
def test_a_new_rule_is_asked_although_the_hosts_were_accepted_before(place):
    """The shortcut for the same two hosts skips the checks of addresses, but never the hooks. A change of the rules ends it."""
    peer = Peer()
    core = peer.stack
    for _ in range(2):
        assert len(peer.send(ECHO, 1)) == 1
    known = core.accepted[slot(peer.me, peer.addr)]
    assert (known.src, known.dst, known.epoch) == (peer.me, peer.addr, core.route_epoch)

    def hook(core, place, iface, packet):
        return hooks.DROP

    hooks.attach(core, place, hook)
    assert known.epoch != core.route_epoch
    assert peer.send(ECHO, 1) == []
    assert peer.drops == {"filter-" + hooks.NAMES[place]: 1}
    hooks.detach(core, place, hook)
    assert known.epoch != core.route_epoch
    assert len(peer.send(ECHO, 1)) == 1


@pytest.mark.parametrize("place", [hooks.PREROUTING, hooks.INPUT, hooks.OUTPUT, hooks.POSTROUTING])
def test_a_new_rule_is_asked_about_an_open_connection(place):
    """The connection found its route before the rule existed, and its segments take the shortcut for known hosts."""
    peer = TcpPeer()
    conn = peer.established()
    assert conn.rx(data=b"one") == [] and len(peer.advance(S)) == 1

    def hook(core, place, iface, packet):
        return hooks.DROP

    hooks.attach(peer.stack, place, hook)
    conn.rx(data=b"two")
    assert peer.advance(S) == []
    assert peer.stack.counters.drops["filter-" + hooks.NAMES[place]] >= 1


def test_a_hook_may_change_the_destination_although_the_hosts_were_accepted_before():
    """If a hook sends a packet elsewhere, the shortcut for its hosts must neither deliver that packet here nor forward a later one."""
    peer = router()
    assert len(peer.send(ECHO, 1)) == 1
    to = f.addr("192.0.2.2")

    def hook(core, place, iface, pkt):
        pkt.dst = to
        return hooks.ACCEPT

    hooks.attach(peer.stack, hooks.PREROUTING, hook)
    peer.send(ECHO, 1)
    assert peer.stack.counters.IpForwDatagrams == 1
    to = peer.addr
    assert len(peer.send(ECHO, 1)) == 1
    to = f.addr("192.0.2.2")
    peer.send(ECHO, 1)
    assert peer.stack.counters.IpForwDatagrams == 2


def test_detached_hooks_leave_nothing_behind():
    peer = Peer()

    def hook(core, place, iface, packet):
        return hooks.DROP

    hooks.attach(peer.stack, hooks.INPUT, hook)
    assert peer.send(ECHO, 1) == []
    hooks.detach(peer.stack, hooks.INPUT, hook)
    assert len(peer.send(ECHO, 1)) == 1
    assert peer.stack.hooks is None
    with pytest.raises(ValueError, match="not attached"):
        hooks.detach(peer.stack, hooks.INPUT, hook)
    with pytest.raises(ValueError, match="is not in 0..4"):
        hooks.attach(peer.stack, 5, hook)


def test_a_hook_sees_the_packet_that_a_router_sends():
    """At postrouting the record of a forwarded packet is complete: addresses, the lowered TTL, the TOS and the payload."""
    peer = router()
    seen = []

    def hook(core, place, iface, out):
        seen.append((out.src, out.daddr, out.proto, out.ttl, out.tos, bytes(out.payload)))
        return hooks.ACCEPT

    hooks.attach(peer.stack, hooks.POSTROUTING, hook)
    packet = ip_packet("10.0.0.2", "192.0.2.2", 99, b"payload", ttl=9, tos=0x20)
    assert len(peer.packet(packet)) == 1
    assert seen == [(f.addr("10.0.0.2"), f.addr("192.0.2.2"), 99, 8, 0x20, b"payload")]


@pytest.mark.parametrize("place", [hooks.OUTPUT, hooks.POSTROUTING])
@pytest.mark.parametrize("verdict", [hooks.ACCEPT, hooks.DROP, hooks.STOLEN])
def test_a_packet_with_a_header_of_its_own_passes_the_hooks(place, verdict):
    """A raw socket with IP_HDRINCL cannot bypass the filter."""
    peer = Peer()
    seen = []

    def hook(core, at, iface, out):
        seen.append((out.daddr, out.proto, out.ttl, out.tos, bytes(out.payload)))
        return verdict

    hooks.attach(peer.stack, place, hook)
    socket = peer.call(raw.raw_open, peer.stack, 255)
    packet = ip_packet(peer.addr, peer.me, 99, b"payload", ttl=9, tos=0x20)
    if verdict == hooks.DROP:
        with pytest.raises(OSError) as caught:
            peer.call(raw.sendto, socket, packet, peer.me, 0, 0)
        assert caught.value.errno == errno.EPERM
    else:
        assert peer.call(raw.sendto, socket, packet, peer.me, 0, 0) == len(packet)
    assert len(peer.seen) == (1 if verdict == hooks.ACCEPT else 0)
    assert seen == [(peer.me, 99, 9, 0x20, b"payload")] and peer.stack.out.payload is None
