"""The five places of a packet filter: which packets pass which of them, in which order, and what a verdict does."""

import errno

import pytest

from pystack_c.filter import hooks
from pystack_c.sockets import udp
from tests import frames as f
from tests.pystack_c.test_forward import router
from tests.support.peer import Peer, ip_packet

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


def test_a_new_rule_is_asked_although_the_hosts_were_accepted_before():
    """The shortcut for the same two hosts skips address checks, never the hooks."""
    peer = Peer()
    assert len(peer.send(ECHO, 1)) == 1
    seen = watch(peer, hooks.DROP, hooks.PREROUTING)
    assert peer.send(ECHO, 1) == []
    assert seen == ["prerouting eth0"]


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
