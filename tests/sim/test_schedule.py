"""Partitions, reboots and hosts that stop answering: TCP reports the right errors at the computed times."""

import errno

import pytest

from pystack.sim.network import Network
from pystack.sim.programs import datagram
from pystack.sim.schedule import Schedule
from pystack.testing.lab import MS, S, lab_net, sleep
from pystack.trace.replay import replay

D = 50 * MS  # one way
KEEPALIVE = ((1, 9, 1), (6, 4, 10), (6, 5, 2), (6, 6, 3))  # SO_KEEPALIVE; idle 10 s, interval 2 s, three probes


def ending(lab, sock):
    """Wait for the end of a connection: (the time, the error or the bytes)."""

    def program():
        try:
            got = yield sock.recv(10)
        except OSError as error:
            got = error.errno
        return lab.net.now, got

    return program()


def at(lab, time, action):
    def program():
        yield sleep(time - lab.net.now)
        yield action()

    return lab.spawn(program())


def test_a_connection_survives_a_short_cut():
    lab = lab_net(D)
    client, server = lab.connected()
    Schedule(lab.net).cut(lab.net.now, lab.link, until=lab.net.now + 5 * S)
    took = lab.upload(b"x", client, server)
    assert 5 * S < took < 12 * S
    assert lab.link.ab.stats.drops["down"] >= 2


def test_a_connection_does_not_survive_a_long_cut():
    lab = lab_net(D)
    client, _ = lab.connected()
    for option in KEEPALIVE:
        client.setsockopt(*option)
    start = lab.net.now
    Schedule(lab.net).cut(start, lab.link, until=start + 60 * S)
    ((time, got),) = lab.run(ending(lab, client))
    assert got == errno.ETIMEDOUT
    # connected() returns when the server has the last ACK, so the client heard from it `D` ago.
    assert time == start - D + 10 * S + 3 * 2 * S


def test_a_host_that_stops_answering_and_goes_on():
    lab = lab_net(D)
    client, server = lab.connected()
    start = lab.net.now
    plan = Schedule(lab.net)
    plan.freeze(start, lab.b, until=start + 4 * S)
    plan.freeze(start + S, lab.b, until=start + 6 * S)
    took = lab.upload(b"x", client, server)
    assert 6 * S < took < 14 * S


@pytest.mark.parametrize("fault", ["freeze", "crash"])
def test_a_program_goes_on_to_send_while_its_host_is_frozen_or_off(fault):
    """The deadline of such a host passes while it has no timer. The next call must not set a timer in the past, which would end the run."""
    lab = lab_net(D)
    client, server = lab.connected()
    start = lab.net.now
    if fault == "freeze":
        Schedule(lab.net).freeze(start, lab.a, until=start + 20 * S)
    else:
        Schedule(lab.net).crash(start, lab.a)

    def program():
        for _ in range(10):
            yield client.sendall(b"x" * 100)
            yield sleep(S)
        client.close()

    def read():
        return (yield server.recv_all())

    lab.spawn(program())
    waiting = lab.spawn(read())
    lab.net.run(start + 200 * S)
    if fault == "freeze":
        assert waiting.value == b"x" * 1000
    else:
        assert not waiting.finished()


def test_connect_to_a_host_that_does_not_answer():
    lab = lab_net(D, tcp_syn_retries=2, tcp_syn_linear_timeouts=0)
    lab.listener()
    Schedule(lab.net).freeze(0, lab.b)
    lab.net.run(0)

    def program():
        try:
            yield from lab.client()
        except OSError as error:
            return lab.net.now, error.errno

    # RFC 6298 2: 1 s, 2 s, 4 s
    assert lab.run(program()) == [(7 * S, errno.ETIMEDOUT)]


def test_a_reboot_leaves_a_half_open_connection():
    lab = lab_net(D)
    client, _ = lab.connected()
    start = lab.net.now
    Schedule(lab.net).reboot(start + S, lab.b, after=2 * S)
    waiting = lab.spawn(ending(lab, client))
    lab.net.run(start + 100 * S)
    # Nothing was sent, so the client has not noticed anything.
    assert not waiting.finished() and lab.b.boots == 1
    at(lab, start + 200 * S, lambda: client.sendall(b"x"))
    lab.net.run_until(waiting.finished, limit=start + 300 * S)
    time, got = waiting.value
    assert got == errno.ECONNRESET
    # The segment arrives, and then the reset, after the rebooted host has asked for the client's MAC address.
    assert time == start + 200 * S + 4 * D


def test_keepalive_finds_a_half_open_connection():
    lab = lab_net(D)
    client, _ = lab.connected()
    for option in KEEPALIVE:
        client.setsockopt(*option)
    start = lab.net.now
    Schedule(lab.net).reboot(start + S, lab.b)
    ((time, got),) = lab.run(ending(lab, client))
    assert got == errno.ECONNRESET
    assert time == start - D + 10 * S + 4 * D


def test_a_rebooted_host_serves_again():
    lab = lab_net(D)
    lab.b.route("10.9.0.0/16", via="10.0.0.1")
    started = []
    lab.b.on_boot.append(lambda host: started.append(lab.listener(host=host)))
    Schedule(lab.net).reboot(S, lab.b, after=S)
    old = lab.b.stack
    lab.net.run(3 * S)
    assert lab.b.stack is not old and lab.b.addresses() == ["10.0.0.2"]

    def accept():
        return (yield started[0].accept())

    client, server = lab.run(lab.client(), accept())
    lab.upload(b"x" * 5000, client, server)


def test_a_crash_is_for_ever():
    lab = lab_net(D, tcp_syn_retries=1, tcp_syn_linear_timeouts=0)
    lab.listener()
    plan = Schedule(lab.net)
    plan.freeze(0, lab.b, until=2 * S)
    plan.crash(S, lab.b)
    lab.net.run(3 * S)
    assert not lab.b.up


def test_a_host_comes_back_after_the_last_of_overlapping_reboots():
    """The host must not come back after the first reboot, and must not boot a second time while it runs."""
    net = Network()
    a = net.host("a")
    plan = Schedule(net)
    plan.reboot(S, a, after=9 * S)
    plan.reboot(2 * S, a, after=S)
    plan.reboot(20 * S, a)
    seen = []
    for time in (2, 4, 9, 10, 20):
        net.run(time * S)
        seen.append((a.up, a.boots))
    assert seen == [(False, 0), (False, 0), (False, 0), (True, 1), (True, 2)]


def test_the_faults_of_two_schedules_may_overlap():
    """The end of the inner fault must not end the outer one."""
    net = Network()
    a, b = net.host("a"), net.host("b")
    link = net.link(a, b)
    for plan, begin, end in ((Schedule(net), 1, 10), (Schedule(net), 2, 3)):
        plan.cut(begin * S, link, until=end * S)
        plan.freeze(begin * S, a, until=end * S)
        plan.reboot(begin * S, b, after=(end - begin) * S)
    seen = []
    for time in (5, 11):
        net.run(time * S)
        seen.append((link.ab.up, a.up, b.up, b.boots))
    assert seen == [(False, False, False, 0), (True, True, True, 1)]


def test_a_fault_that_cannot_be_scheduled_is_an_error_at_once():
    """Names instead of hosts and links, and times with fractions, must not become errors in the middle of the run."""
    net, other = Network(), Network()
    a, b, stranger = net.host("a"), net.host("b"), other.host("a")
    link = net.link(a, b)
    plan = Schedule(net)
    for error, fault in (
        ("'a-b' is not in this network; there are a-b", lambda: plan.cut(S, "a-b")),
        ("'b' is not in this network; there are a, b", lambda: plan.freeze(S, "b")),
        ("'b' is not in this network", lambda: plan.crash(S, a, "b")),
        ("<SimHost a> is not in this network", lambda: plan.reboot(S, stranger)),
    ):
        with pytest.raises(ValueError, match=error):
            fault()
    for fault in (
        lambda: plan.cut(1.5 * S, link),
        lambda: plan.cut(S, link, until=2.5 * S),
        lambda: plan.reboot(S, a, after=0.5 * S),
        lambda: plan.crash(0.5, a),
        lambda: plan.freeze(S, a, until="2s"),
    ):
        with pytest.raises(TypeError, match="int of ns"):
            fault()
    assert len(net) == 0


def test_a_partition_cuts_the_links_between_the_groups():
    net = Network()
    a, b, c = (net.host(name) for name in "abc")
    inside, outside, other = net.link(a, b), net.link(b, c), net.link(a, c)
    plan = Schedule(net)
    plan.partition(S, [a, b], [c], until=3 * S)
    plan.cut(2 * S, outside, until=4 * S)
    seen = []
    for time in (S // 2, S, 3 * S, 4 * S):
        net.run(time)
        seen.append([link.ab.up for link in (inside, outside, other)])
    assert seen == [[True] * 3, [True, False, False], [True, False, True], [True] * 3]
    with pytest.raises(ValueError, match="b is in two groups"):
        plan.partition(5 * S, [a, b], [b, c])
    with pytest.raises(ValueError, match="no link"):
        plan.partition(5 * S, [a, b, c], [])
    with pytest.raises(ValueError, match="cannot end"):
        plan.cut(5 * S, inside, until=5 * S)


def test_a_reboot_is_recorded_and_replayed(tmp_path):
    path = str(tmp_path / "reboot.pytrace")
    with Network(seed=4) as net:
        net.record(path)
        a, b = net.host("a"), net.host("b")
        net.link(a, b, addrs=("10.0.0.1/24", "10.0.0.2/24"), delay=MS)
        Schedule(net).reboot(S, b, after=S)
        for time in (0, 3 * S):
            net.at(time, lambda: datagram(a).sendto(b"hello", "10.0.0.2", 9))
        net.run(10 * S)
        assert net.recorder.hosts == 3  # a, b, and b after its boot
    assert replay(path).frames > 5


def test_a_program_that_has_outlived_its_host_is_not_in_the_recording(tmp_path):
    """The new stack has no such socket, so a replay of the program's calls would fail. The program gets ENETDOWN."""
    path = str(tmp_path / "outlived.pytrace")
    with Network(seed=4) as net:
        net.record(path)
        a, b = net.host("a"), net.host("b")
        net.link(a, b, addrs=("10.0.0.1/24", "10.0.0.2/24"), delay=MS)
        old = datagram(b)
        Schedule(net).reboot(S, b, after=S)
        seen = []

        def send():
            try:
                old.sendto(b"hello", "10.0.0.1", 9)
            except OSError as error:
                seen.append((net.now, error.errno))

        for time in (0, 1500 * MS, 3 * S):
            net.at(time, send)
        net.at(4 * S, lambda: datagram(b).sendto(b"hello", "10.0.0.1", 9))
        net.run(10 * S)
        assert a.counters.nonzero()["UdpNoPorts"] == 2  # the first one and the last one
        assert seen == [(3 * S, errno.ENETDOWN)]
    assert replay(path).frames > 5


def test_a_reboot_does_not_undo_a_crash():
    net = Network()
    a, b = net.host("a"), net.host("b")
    plan = Schedule(net)
    plan.reboot(S, a, after=5 * S)
    plan.crash(2 * S, a, b)
    plan.reboot(10 * S, a, b)
    net.run(20 * S)
    assert (a.up, a.boots, b.up, b.boots) == (False, 0, False, 0)
    a.boot()
    assert a.up  # on purpose


def test_a_boot_does_not_end_a_freeze_that_began_while_the_host_was_off():
    net = Network()
    a, b = net.host("a"), net.host("b")
    net.link(a, b, addrs=("10.0.0.1/24", "10.0.0.2/24"))
    plan = Schedule(net)
    plan.reboot(S, a, after=2 * S)
    plan.freeze(2 * S, a, until=6 * S)
    seen = []
    for time in (4, 7):
        net.run(time * S)
        seen.append((a.up, a.boots))
    assert seen == [(False, 1), (True, 1)]
    # one that began before ends with the power
    plan.freeze(10 * S, b)
    plan.reboot(11 * S, b, after=S)
    net.run(13 * S)
    assert b.up
