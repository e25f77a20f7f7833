"""The mark that a ruleset sets chooses the table of routes: after PREROUTING, and in a chain of the type route at OUTPUT.

The kernel is the oracle in tests/kernel/test_route_packets.py.
"""

import pytest

from pystack.sim.network import MS
from pystack.sim.programs import datagram
from pystack.sockets import module
from tests import frames as f
from tests.pystack_c.test_policy import Star

SO_MARK = 36


def star(rules):
    """Packets leave by eth1. One with mark 2 leaves by eth2, and one with mark 3 by eth3."""
    made = Star()
    made.router.ip("route add default via 192.168.1.2")
    for n in (2, 3):
        made.router.ip(f"route add default via 192.168.{n}.2 table {n}")
        made.router.ip(f"rule add fwmark {n} table {n}")
    made.router.nft(rules)
    return made


def chain(kind, hook, rules, priority="mangle"):
    """A ruleset of one base chain."""
    return f"table ip t {{ chain c {{ type {kind} hook {hook} priority {priority}; {rules}; }}; }}"


def own(made, port=9, mark=0):
    """The interfaces by which a datagram of the router's own leaves."""
    sock = datagram(made.router)
    if mark:
        sock.setsockopt(module.SOL_SOCKET, SO_MARK, mark)
    try:
        sock.sendto(b"?", "10.9.9.9", port)
    finally:
        sock.close()
    made.net.run(made.net.now + 5 * MS)
    found = [n for n, wire in enumerate(made.wires) for _ in wire.got]
    for wire in made.wires:
        wire.got.clear()
    return found


def test_a_mark_set_at_prerouting_chooses_the_table():
    rules = [f"udp dport {port} meta mark set {port}" for port in (2, 3, 4)]
    made = star(chain("filter", "prerouting", "; ".join(rules)))
    assert [made.leaves("10.0.0.9", dport=port) for port in (2, 3, 4, 9)] == [2, 3, 1, 1]


def test_a_mark_of_the_packet_before_is_gone():
    made = star(chain("filter", "prerouting", "udp dport 2 meta mark set 2"))
    assert [made.leaves("10.0.0.9", dport=port) for port in (2, 9, 2, 9)] == [2, 1, 2, 1]


def test_a_mark_set_after_routing_does_not_matter():
    made = star(chain("filter", "forward", "udp dport 2 meta mark set 2"))
    assert made.leaves("10.0.0.9", dport=2) == 1


def test_a_connection_keeps_its_table_by_its_mark():
    rules = (
        "ct state new meta mark set 2; ct state new ct mark set meta mark; ct state established meta mark set ct mark"
    )
    made = star(chain("filter", "prerouting", rules))
    assert [made.leaves("10.0.0.9", dport=9) for _ in range(3)] == [2] * 3


def test_a_route_chain_routes_a_packet_of_this_host_anew():
    made = star(chain("route", "output", "udp dport 2 meta mark set 2; udp dport 3 meta mark set 3"))
    assert [own(made, port) for port in (2, 3, 9)] == [[2], [3], [1]]


@pytest.mark.parametrize(("kind", "expected"), [("route", [2]), ("filter", [1])])
def test_only_a_chain_of_the_type_route_does(kind, expected):
    made = star(chain(kind, "output", "meta mark set 2"))
    assert own(made) == expected


def test_a_chain_at_output_sees_the_mark_of_the_socket():
    made = star(chain("route", "output", "meta mark 2 meta mark set 3; meta mark 7 drop"))
    assert own(made, mark=2) == [3]
    assert own(made) == [1]
    with pytest.raises(OSError):
        own(made, mark=7)
    # The mark of the socket stays if a rule changes something else that routing depends on.
    made = star(chain("route", "output", "ip dscp set 8"))
    assert own(made, mark=2) == [2]


def test_without_a_route_for_the_new_mark_the_packet_is_dropped():
    made = star(chain("route", "output", "meta mark set 5"))
    made.router.ip("rule add fwmark 5 unreachable")
    with pytest.raises(OSError):
        own(made)
    assert made.router.stack.counters.drops["output-no-route"] == 1


def test_a_packet_that_waited_in_a_queue_keeps_its_mark():
    """A packet without a mark arrives while it waits."""
    made = star(chain("filter", "prerouting", "udp dport 2 meta mark set 2; udp dport 2 queue to 1"))
    order = []
    made.router.nft_queue(1, lambda packet: order.append([len(wire.got) for wire in made.wires]) or True)
    mac = made.router.ports[0].iface.mac
    for port in (2, 9):
        packet = f.ipv4("192.168.0.2", "10.0.0.9", 17, f.udp("192.168.0.2", 1, "10.0.0.9", port, b"?"))
        made.wires[0].send(f.ether(packet, dst=mac))
    made.net.run(made.net.now + 5 * MS)
    assert order == [[0, 0, 0, 0]]
    found = {int.from_bytes(got[1][36:38], "big"): n for n, wire in enumerate(made.wires) for got in wire.got}
    assert found == {2: 2, 9: 1}
