"""Numbers that only grow do not stop at 32 bits: endpoints have theirs, and each half-open connection of a flood takes one."""

from pystack.testing.peer import HOST_ADDR, PEER, Peer
from pystack.testing.segments import ACK, SYN
from pystack_c.sockets import udp
from pystack_c.tcp import user


def test_the_numbers_of_endpoints_pass_32_bits():
    peer = Peer()
    for start in (2**31 - 2, 2**32 - 2):
        peer.stack.next_ident = start
        idents = [peer.call(user.tcp_open, peer.stack).ident, peer.call(udp.udp_open, peer.stack).ident]
        conn = peer.established()
        conn.rx(data=b"hello")
        assert conn.recv() == b"hello"
        idents.append(conn.tcb.ident)
        assert idents[:2] == [start, start + 1] and idents[2] > start + 1
        assert peer.stack.endpoints[idents[2]] is conn.tcb
        conn.close()


def test_the_number_of_the_routes_state_passes_32_bits():
    peer = Peer()
    conn = peer.established()
    peer.stack.route_epoch = 2**31 - 1
    peer.stack.add_route(0, 0, PEER, peer.iface)
    assert peer.stack.route_epoch == 2**31
    conn.rx(data=b"x")
    assert conn.recv() == b"x" and conn.send(b"y")[0].payload == b"y"
    assert peer.segment(SYN, 1, dport=9)[0].has(ACK)  # (to a closed port: a RST finds its way)
    assert peer.stack.local_addr(HOST_ADDR) is not None
