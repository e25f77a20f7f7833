"""A socket tries again after a connect() that failed; every change of what a learner watches is told."""

import errno

import pytest

import pystack_c.const as C
from pystack_c.stack import Stack
from pystack_c.tcp import again, sockopt, user
from tests.support.silent import Silent

PEER = 0x0A000001
SECOND = 1_000_000_000


class Lab:
    """A stack with a loopback and a link on which nobody answers; its probe finds silent changes."""

    def __init__(self):
        self.stack = Stack(7)
        self.stack.probe = self.probe = Silent()
        self.now = SECOND
        iface = self.stack.add_iface("eth0", C.LINK_ETHERNET, 0x020000000001, 1500)
        self.stack.add_addr(iface, 0x0A000002, 24)
        self.stack.add_neighbor(iface, PEER, 0x020000000002)

    def drain(self):
        frames = 0
        while self.stack.poll_transmit(self.now) is not None:
            frames += 1
        while self.stack.poll_event() is not None:
            pass
        return frames

    def connect(self, tcb, addr, port):
        user.connect(tcb, addr, port, self.now)
        self.drain()
        for _ in range(40):
            if tcb.state != C.SYN_SENT:
                break
            self.now = max(self.now, self.stack.poll_timeout())
            self.stack.handle_timeout(self.now)
            self.drain()
        return sockopt.getsockopt(tcb, 1, 4, self.now)


def test_after_a_refusal_and_after_a_timeout():
    lab = Lab()
    tcb = user.tcp_open(lab.stack, lab.now)
    ports = set()
    for _ in range(2):
        assert lab.connect(tcb, 0x7F000001, 9) == errno.ECONNREFUSED
        ports.add(tcb.lport)
        with pytest.raises(OSError) as caught:
            user.connect(tcb, 0x7F000001, 9, lab.now)
        assert caught.value.errno == errno.EISCONN  # until it is told to be as before
        again.disconnect(tcb, 0, lab.now)
        assert (tcb.laddr, tcb.lport, tcb.raddr, tcb.rport) == (0, 0, 0, 0)
        assert lab.connect(tcb, PEER, 9) == errno.ETIMEDOUT
        assert tcb.backoff > 0
        again.disconnect(tcb, 0, lab.now)
        assert tcb.backoff == 0 and tcb.rto == lab.stack.config.tcp_rto_initial
    assert len(ports) == 2
    server = user.tcp_open(lab.stack, lab.now)
    user.bind(server, 0, 80, lab.now)
    user.listen(server, 5, lab.now)
    assert lab.connect(tcb, 0x7F000001, 80) == 0 and tcb.state == C.ESTABLISHED
    with pytest.raises(OSError):
        again.disconnect(tcb, 0, lab.now)
    conn = user.accept(server, lab.now)
    assert user.send(tcb, b"hello", 0, lab.now) == 5
    lab.drain()
    assert user.recv(conn, 10, 0, lab.now) == b"hello"
    for each in (tcb, conn, server):
        user.abort(each, lab.now)
    lab.drain()
    assert lab.probe.found == []
    assert lab.stack.tcp_memory == 0 and not lab.stack.tcp.conns


def test_a_connection_that_was_made_and_reset_before_anybody_asked():
    lab = Lab()
    server = user.tcp_open(lab.stack, lab.now)
    user.bind(server, 0, 80, lab.now)
    user.listen(server, 5, lab.now)
    tcb = user.tcp_open(lab.stack, lab.now)
    user.bind(tcb, 0, 4000, lab.now)
    assert lab.connect(tcb, 0x7F000001, 80) == 0
    conn = user.accept(server, lab.now)
    user.send(conn, bytes(1000), 0, lab.now)
    lab.drain()
    user.abort(conn, lab.now)
    lab.drain()
    assert tcb.state == C.CLOSED
    again.disconnect(tcb, 0, lab.now)
    assert (tcb.laddr, tcb.lport, tcb.bound) == (0, 4000, True)
    assert lab.connect(tcb, 0x7F000001, 80) in (0, errno.ECONNRESET)
    assert lab.probe.found == []
