"""Lab 3: ICMP, ping and traceroute over two routers: A -5 ms- r1 -10 ms- r2 -20 ms- B."""

import errno

import pytest

from pystack.sim.network import MS, S
from pystack.testing.routed import Chain, echo, ping

LINKS = [{"delay": 5 * MS}, {"delay": 10 * MS}, {"delay": 20 * MS}]


def run(chain, program):
    from pystack.sim.programs import spawn

    proc = spawn(chain.net, program)
    chain.net.run_until(proc.finished, limit=chain.net.now + 100 * S)
    return proc.value


def test_ping():
    chain = Chain(LINKS)
    frames = []
    chain.b.port().taps.append(lambda time, direction, frame: frames.append(frame))
    rtt, kind, _, _ = run(chain, ping(chain.a, chain.addr))
    assert (rtt, kind) == (70 * MS, 0)
    assert len(frames[0]) == 98 and frames[0][22] == 62  # frame length, and TTL at B


def hops(chain):
    """(time, type) of each TTL's answer."""
    found = []
    for ttl in range(1, 4):
        answer = run(chain, ping(chain.a, chain.addr, number=ttl, ttl=ttl))
        found.append(answer[:2] if answer else None)
    return found


def test_traceroute():
    chain = Chain(LINKS)
    assert hops(chain) == [(10 * MS, 11), (30 * MS, 11), (70 * MS, 0)]
    assert [run(chain, ping(chain.a, chain.addr, number=n, ttl=3))[1] for n in range(3)] == [0, 0, 0]


def test_control_a_silent_hop_does_not_move_the_others():
    chain = Chain(LINKS)
    chain.links[0].ba.drop_if(lambda frame: frame[26:30] == bytes((10, 0, 0, 2)))  # whatever r1 itself says
    assert hops(chain) == [None, (30 * MS, 11), (70 * MS, 0)]


def test_100_injected_errors_cause_no_reply():
    chain = Chain(LINKS)
    from pystack.sim.programs import raw

    sock = raw(chain.a, 1)
    sent = []
    chain.b.port().taps.append(lambda time, direction, frame: sent.append(frame) if direction == 2 else None)
    for kind in (3, 4, 5, 11, 12):
        for number in range(20):
            message = bytearray(echo(number))
            message[0] = kind
            sock.sendto(bytes(message[:2] + bytes(2) + message[4:]), chain.addr)
    chain.net.run(until=S)
    assert sent == []
    sock.sendto(echo(1), chain.addr)  # the control
    chain.net.run(until=2 * S)
    assert len(sent) == 1


@pytest.mark.parametrize(("size", "code"), [(1472, 0), (1473, errno.EMSGSIZE)])
def test_do_not_fragment(size, code):
    chain = Chain(LINKS)
    try:
        outcome = run(chain, ping(chain.a, chain.addr, size=size, df=True))[1]
    except OSError as error:
        outcome = error.errno
    assert outcome == code
