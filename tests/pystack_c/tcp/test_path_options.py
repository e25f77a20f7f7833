"""IP_MTU_DISCOVER and IP_FREEBIND of stream sockets."""

import errno

import pytest

from pystack_c.base.address import v4
from pystack_c.const import LINK_IP
from pystack_c.stack import Stack
from pystack_c.tcp import sockopt, user

SOL_IP, IP_MTU_DISCOVER, IP_FREEBIND = 0, 10, 15
HERE, THERE, ELSEWHERE = 0x0A000001, 0x0A000002, 0x0A090909


def host():
    stack = Stack(1)
    iface = stack.add_iface("tun0", LINK_IP, 0, 1500)
    stack.add_addr(iface, HERE, 24)
    return stack


def first_packet(mode):
    stack = host()
    tcb = user.tcp_open(stack, 0)
    if mode is not None:
        sockopt.setsockopt(tcb, SOL_IP, IP_MTU_DISCOVER, mode, 0)
        assert sockopt.getsockopt(tcb, SOL_IP, IP_MTU_DISCOVER, 0) == mode
    user.connect(tcb, THERE, 80, 0)
    return stack.poll_transmit(0).to_bytes()


@pytest.mark.parametrize(("mode", "df"), [(None, True), (0, False), (1, True), (2, True), (3, True)])
def test_only_pmtudisc_dont_lets_routers_cut(mode, df):
    assert bool(first_packet(mode)[6] & 0x40) == df


def test_no_other_mode():
    tcb = user.tcp_open(host(), 0)
    for value in (-1, 6):
        with pytest.raises(OSError) as caught:
            sockopt.setsockopt(tcb, SOL_IP, IP_MTU_DISCOVER, value, 0)
        assert caught.value.errno == errno.EINVAL


def test_freebind_takes_an_address_that_is_not_here():
    tcb = user.tcp_open(host(), 0)
    with pytest.raises(OSError) as caught:
        user.bind(tcb, ELSEWHERE, 80, 0)
    assert caught.value.errno == errno.EADDRNOTAVAIL
    sockopt.setsockopt(tcb, SOL_IP, IP_FREEBIND, 1, 0)
    assert sockopt.getsockopt(tcb, SOL_IP, IP_FREEBIND, 0) == 1
    user.bind(tcb, ELSEWHERE, 80, 0)
    assert tcb.laddr == v4(ELSEWHERE)
