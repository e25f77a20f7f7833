"""Lab 13: connection states: all eleven, along the edges of RFC 9293 figure 5 only."""

import errno

import pytest

from pystack.testing.lab import MS, A, B, S, lab_net, sleep, stream
from pystack.testing.segments import FIN, RST, SYN

R = 20 * MS

# RFC 9293 3.3.2, figure 5, with notes 1 to 3, and "-> CLOSED" by RST, ABORT or timeout from every state (3.10).
FIGURE_5 = """
CLOSED LISTEN | CLOSED SYN-SENT | LISTEN SYN-SENT | LISTEN SYN-RECEIVED | SYN-SENT SYN-RECEIVED | SYN-SENT ESTABLISHED
SYN-RECEIVED ESTABLISHED | SYN-RECEIVED FIN-WAIT-1 | SYN-RECEIVED LISTEN | ESTABLISHED FIN-WAIT-1
ESTABLISHED CLOSE-WAIT | FIN-WAIT-1 FIN-WAIT-2 | FIN-WAIT-1 CLOSING | FIN-WAIT-1 TIME-WAIT | FIN-WAIT-2 TIME-WAIT
CLOSING TIME-WAIT | CLOSE-WAIT LAST-ACK | LAST-ACK CLOSED | TIME-WAIT CLOSED
"""
EDGES = {tuple(edge.split()) for line in FIGURE_5.strip().splitlines() for edge in line.split("|")}
# A connection of a listener is a control block of its own here: it begins in CLOSED where the RFC's is in LISTEN.
EDGES.add(("CLOSED", "SYN-RECEIVED"))
ALL_STATES = "CLOSED LISTEN SYN-SENT SYN-RECEIVED ESTABLISHED FIN-WAIT-1 FIN-WAIT-2 CLOSE-WAIT CLOSING LAST-ACK TIME-WAIT".split()


class States:
    """A probe that keeps changes of state, by host."""

    def __init__(self, lab):
        self.edges = []
        self.path = {"a": [], "b": []}
        for host in (lab.a, lab.b):
            host.stack.probe = self

    def event(self, event):
        if event.kind == "tcp.state":
            old, new = event.fields["old"], event.fields["new"]
            assert event.before["state"] == old and event.after["state"] == new
            self.edges.append((event.host, old, new))
            self.path[event.host].append(new)


def watched(**settings):
    lab = lab_net(R // 2, **settings)
    return lab, States(lab)


def normal():
    lab, states = watched()
    client, server = lab.connected()
    states.path["b"].clear()
    client.close()
    lab.net.run(until=lab.net.now + R)
    server.close()
    lab.net.run(until=lab.net.now + 100 * S)
    assert states.path["a"] == ["SYN-SENT", "ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT", "CLOSED"]
    assert states.path["b"] == ["CLOSE-WAIT", "LAST-ACK", "CLOSED"]
    return lab, states


def simultaneous_open():
    lab, states = watched()
    one, two = stream(lab.a), stream(lab.b)
    one.bind("", 1000)
    two.bind("", 2000)

    def dial(sock, addr, port):
        yield sock.connect(addr, port)
        yield sock.sendall(b"hello")
        return (yield sock.recv_exactly(5))

    assert lab.run(dial(one, B, 2000), dial(two, A, 1000)) == [b"hello", b"hello"]
    assert states.path["a"] == states.path["b"] == ["SYN-SENT", "SYN-RECEIVED", "ESTABLISHED"]
    assert not any(seg.has(RST) for seg in lab.log.sent["a"] + lab.log.sent["b"])
    return lab, states


def simultaneous_close():
    lab, states = watched()
    client, server = lab.connected()
    client.close()
    server.close()
    lab.net.run(until=lab.net.now + 100 * S)
    closing = ["FIN-WAIT-1", "CLOSING", "TIME-WAIT", "CLOSED"]
    assert states.path["a"][-4:] == closing
    assert [new for host, old, new in states.edges if host == "b" and new in closing and old != "LISTEN"] == closing
    return lab, states


def half_close():
    lab, states = watched()
    client, server = lab.connected()
    client.shutdown()

    def serve():
        assert (yield server.recv_all()) == b""
        yield sleep(5 * S)
        yield server.sendall(b"still open")
        server.close()

    def read():
        return (yield client.recv_all())

    assert lab.run(serve(), read())[1] == b"still open"
    client.close()
    return lab, states


def refused_and_reset():
    lab, states = watched()

    def dial():
        sock = stream(lab.a)
        started = lab.net.now
        with pytest.raises(OSError) as caught:
            yield sock.connect(B, 81)
        assert caught.value.errno == errno.ECONNREFUSED and lab.net.now - started == R

    lab.run(dial())
    client, server = lab.connected()
    client.abort()

    def read():
        with pytest.raises(OSError) as caught:
            yield server.recv()
        assert caught.value.errno == errno.ECONNRESET

    lab.run(read())
    return lab, states


SCRIPTS = (normal, simultaneous_open, simultaneous_close, half_close, refused_and_reset)


def test_all_eleven_states_and_only_edges_of_figure_5():
    seen = set()
    for script in SCRIPTS:
        _, states = script()
        for host, old, new in states.edges:
            assert (old, new) in EDGES or new == "CLOSED", f"{script.__name__}: {host}: {old} -> {new}"
            seen |= {old, new}
    assert seen == set(ALL_STATES)


def test_time_wait_is_where_the_first_close_was_and_lasts_60_s():
    lab, states = watched()
    client, server = lab.connected()
    times = []
    lab.net.after(S, server.close)
    lab.net.after(2 * S, client.close)
    tcb = server.endpoint

    def watch():
        while tcb.state != 7:
            times.append((lab.net.now, tcb.state))
            yield sleep(MS)

    lab.run(watch())
    waiting = [time for time, state in times if state == 6]
    assert waiting[-1] - waiting[0] == 60 * S - MS
    assert "TIME-WAIT" not in states.path["a"] and "TIME-WAIT" in states.path["b"]


@pytest.mark.parametrize(("unread", "flag"), [(b"x", RST), (b"", FIN)])
def test_close_with_unread_data_resets(unread, flag):
    lab, _ = watched()
    client, server = lab.connected()
    if unread:
        server.call("send", unread, 0)
    lab.net.run(until=lab.net.now + S)
    client.close()
    assert lab.log.sent["a"][-1].flags & (RST | FIN) == flag


def exhaust(first_closer: str):
    """100 connections to one server, closed at once; then one more. How that one ended."""
    lab = lab_net(R // 2, client={"port_min": 40_000, "port_max": 40_099})
    listener = lab.listener()

    def serve():
        while True:
            sock = yield listener.accept()
            if first_closer == "a":
                yield sock.recv_all()
            sock.close()

    def dial():
        for _ in range(100):
            sock = yield from lab.client()
            if first_closer == "b":
                yield sock.recv_all()
            sock.close()
        yield sleep(S)
        sock = yield from lab.client()
        return True

    lab.spawn(serve())
    try:
        return lab, lab.run(dial())
    except OSError as error:
        return lab, error.errno


def test_connect_101_finds_no_port():
    lab, outcome = exhaust("a")
    assert outcome == errno.EADDRNOTAVAIL and lab.net.now < 60 * S
    assert lab.a.stack.tcp.time_wait == 100 and lab.b.stack.tcp.time_wait == 0


def test_control_the_server_closes_first():
    lab, outcome = exhaust("b")
    assert outcome == [True] and lab.a.stack.tcp.time_wait == 0 and lab.b.stack.tcp.time_wait >= 99


@pytest.mark.parametrize(("reuse", "works"), [(0, False), (1, True)])
def test_control_restart_of_a_server_in_time_wait(reuse, works):
    lab = lab_net(R // 2)
    listener = stream(lab.b)
    listener.setsockopt(1, 2, reuse)
    listener.bind("", 80)
    listener.listen()

    def serve():
        sock = yield listener.accept()
        sock.close()
        listener.close()

    def dial():
        sock = yield from lab.client()
        yield sock.recv_all()
        sock.close()

    lab.run(serve(), dial())
    lab.net.run(until=lab.net.now + S)
    again = stream(lab.b)
    again.setsockopt(1, 2, reuse)
    if works:
        again.bind("", 80)
        again.listen()
    else:
        with pytest.raises(OSError) as caught:
            again.bind("", 80)
        assert caught.value.errno == errno.EADDRINUSE
        lab.net.run(until=lab.net.now + 60 * S)
        again.bind("", 80)  # and after 2 MSL it works


def test_a_syn_opens_what_is_in_time_wait():
    lab = lab_net(R // 2)
    listener = lab.listener()

    def serve():
        for _ in range(2):
            sock = yield listener.accept()
            sock.close()

    def dial():
        sock = stream(lab.a)
        sock.bind("", 5000)
        yield sock.connect(B, 80)
        yield sock.recv_all()
        sock.close()

    def twice():
        yield from dial()
        yield sleep(S)
        assert lab.b.stack.tcp.time_wait == 1
        yield from dial()

    lab.run(serve(), twice())
    assert sum(1 for seg in lab.log.sent["b"] if seg.has(SYN)) == 2
