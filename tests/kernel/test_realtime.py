"""The real-time driver: who leads, who is woken, what happens at the end and when the core fails."""

import errno
import logging
import signal
import threading
import time

import pytest

import pystack
from pystack import socket
from pystack_c.probe import Probe
from tests.kernel.test_syn_flood import at_once
from tests.kernel.test_tcp import connected, in_thread, listener
from tests.support.patience import PATIENCE, until


def waiting(net, count):
    """Wait until `count` threads are blocked in the host."""
    host = net.running.host
    assert until(lambda: host.inspect(lambda _: len(host.waiting)) == count), (
        f"{len(host.waiting)} threads wait, not {count}"
    )


def cares(host):
    """Wait until the caretaker leads."""
    assert until(lambda: host.leader is host.caretaker)


def test_a_waiting_thread_leads_and_others_follow(net):
    host = net.running.host
    conn, client = connected(net)
    other = listener(net, 81)
    first = in_thread(conn.recv, 10)
    waiting(net, 1)
    leader = host.leader
    assert leader is not host.caretaker
    second = in_thread(other.accept)
    waiting(net, 2)
    assert host.leader is leader
    # The follower is served by the leader, which leaves it the lead; it does not take it, so that the caretaker has to.
    assert host.stay == 0
    peer = net.kernel()
    peer.connect(("10.0.0.2", 81))
    accepted = second()[0]
    cares(host)
    assert host.stay > 0
    # From now on leaders stay for a while.
    third = in_thread(other.accept)
    waiting(net, 2)
    leader = host.leader
    assert leader is not host.caretaker
    client.sendall(b"x")
    assert first() == b"x"
    assert host.leader is leader
    net.kernel().connect(("10.0.0.2", 81))
    third()[0].close()
    accepted.close()


def test_the_lead_goes_to_the_thread_that_has_the_traffic(net):
    host = net.running.host
    conn, client = connected(net)
    accepting = in_thread(listener(net, 81).accept)
    waiting(net, 1)
    first = host.leader

    def serve():
        while data := conn.recv(10):
            conn.sendall(data)

    serving = in_thread(serve)
    waiting(net, 2)
    assert host.leader is first
    for _ in range(20):
        client.sendall(b"x")
        assert client.recv(10) == b"x"
    waiting(net, 2)
    assert host.leader not in (first, host.caretaker, None)
    client.close()
    serving()
    net.kernel().connect(("10.0.0.2", 81))
    accepting()[0].close()


def test_the_caretaker_takes_a_vacant_lead(net):
    host = net.running.host
    conn, client = connected(net)
    client.sendall(b"x")
    assert conn.recv(1) == b"x"
    cares(host)
    assert "1 received" in net.sh("ping -c 1 -W 20 10.0.0.2").stdout


def test_followers_fired_together_run_one_after_the_other(net):
    """Each opens the next one's gate; none is left behind, also where one of them goes off and does something else."""
    pairs = [connected(net, 80 + i) for i in range(8)]
    pause = threading.Event()

    def answer(i, conn):
        conn.recv(10)
        if i == 3:
            pause.wait(PATIENCE)
        conn.sendall(b"y")

    results = [in_thread(answer, i, pair[0]) for i, pair in enumerate(pairs)]
    waiting(net, 8)
    with net.running.host.lock:
        # All of it is there before the leader gets to look.
        for _, client in pairs:
            client.sendall(b"x")
    for i, (_, client) in enumerate(pairs):
        if i != 3:
            assert client.recv(10) == b"y"
    pause.set()
    assert pairs[3][1].recv(10) == b"y"
    for result in results:
        result()


def test_followers_are_served_after_the_leader_left(net):
    conn, client = connected(net)
    other = listener(net, 81)

    def serve():
        leader = in_thread(conn.recv, 10)
        waiting(net, 1)
        follower = in_thread(other.accept)
        waiting(net, 2)
        client.sendall(b"x")
        assert leader() == b"x"
        # nobody leads now but the caretaker, soon: before the kernel sends its SYN again, which is a second later
        peer = net.kernel()
        peer.connect(("10.0.0.2", 81))
        follower()[0].close()

    assert at_once(net, serve)


def test_an_earlier_timer_of_another_thread_is_served(net):
    """The leader sleeps without a timeout; a timeout armed by a call of another thread must still fire."""
    server = listener(net, 81)
    leader = in_thread(server.accept)
    waiting(net, 1)
    probe = net.socket(socket.AF_INET, socket.SOCK_STREAM, timeout=0)
    assert probe.connect_ex(("10.0.0.99", 80)) == errno.EINPROGRESS
    requests = lambda: net.running.host.inspect(lambda stack: stack.counters.ArpOutRequests)  # noqa: E731
    assert until(lambda: requests() >= 2), "the ARP request was not repeated after a second"
    net.kernel().connect(("10.0.0.2", 81))
    leader()[0].close()


def test_idle_costs_no_cpu(net):
    server = listener(net, backlog=300)
    conns = []
    for _ in range(200):
        client = net.kernel()
        client.connect(("10.0.0.2", 80))
        conns.append(server.accept()[0])
    blocked = [in_thread(conn.recv, 1) for conn in conns[:20]]
    waiting(net, 20)
    # In the first of these seconds, the kernel still confirms addresses by ARP, and TCP's delayed ACKs are sent. On a busy machine, these
    # come later, and a little work costs more. A host that costs something while it is idle costs it in each second.
    used = []
    while len(used) < 10 and min(used, default=1) >= 0.01:
        start = time.process_time()
        time.sleep(1.0)
        used.append(time.process_time() - start)
    assert min(used) < 0.01, used
    for conn in conns:
        conn.close()
    for result in blocked:
        with pytest.raises(OSError):
            result()


def test_close_lets_blocked_threads_go(net):
    conn, _ = connected(net)
    server = listener(net, 81)
    results = [in_thread(conn.recv, 1), in_thread(server.accept)]
    waiting(net, 2)
    net.running.close(flush=0)
    for result in results:
        with pytest.raises(OSError) as caught:
            result()
        assert caught.value.errno == errno.ENETDOWN
    with pytest.raises(OSError) as caught:
        conn.send(b"x")
    assert caught.value.errno == errno.ENETDOWN


def test_close_resets_open_connections(net):
    _, client = connected(net)
    net.running.close(flush=0)
    with pytest.raises(ConnectionResetError):
        client.recv(1)


def test_close_lets_closed_connections_finish(net):
    """What was written before close() still arrives, although the stack is closed right after."""
    conn, client = connected(net)
    conn.sendall(bytes(300_000))
    conn.close()
    closing = in_thread(net.running.close)
    got = 0
    while data := client.recv(65536):
        got += len(data)
    assert got == 300_000
    closing()


class Planted(Probe):
    """Raises at one kind of event, once `armed`."""

    def __init__(self, kind):
        self.kind = kind
        self.armed = False

    def event(self, event):
        if self.armed and event.kind == self.kind:
            raise ZeroDivisionError("planted")


@pytest.mark.parametrize("where", ["frame.in", "frame.out", "timer.fired"])
def test_a_failing_core_fails_loudly_and_hangs_nobody(where, caplog):
    from pystack.kernel.netns import Namespace
    from pystack.running import up

    with Namespace.new() as space:
        space.quiet()
        running = up(netns=space)
        with running:
            with running.socket() as sock, running.socket() as other:
                sock.bind(("", 80))
                sock.listen()
                result = in_thread(sock.accept)
                assert until(lambda: running.host.waiting)
                probe = Planted(where)
                running.host.set_probe(probe)
                if where == "timer.fired":
                    arm_a_timer(other)
                probe.armed = True
                with caplog.at_level(logging.CRITICAL):
                    # A frame that comes in, and its answer; or the timer of a connection that opens.
                    if where != "timer.fired":
                        space.run(["ping", "-c", "1", "-W", "1", "10.0.0.2"], capture_output=True)
                    with pytest.raises(OSError) as caught:
                        result()
                assert caught.value.errno == errno.ENETDOWN
                assert isinstance(caught.value.__cause__, ZeroDivisionError)
                assert isinstance(running.host.failure, ZeroDivisionError)
                assert "planted" in caplog.text


def arm_a_timer(sock):
    sock.setblocking(False)
    sock.connect_ex(("10.0.0.99", 1))


def test_keyboard_interrupt_in_a_leader_and_in_a_follower(net):
    """A signal handler's exception comes out of the blocked call, and everything goes on working."""
    conn, client = connected(net)
    wanted = []

    def interrupt(*_):
        if wanted:
            raise KeyboardInterrupt(wanted.pop())

    def interrupted(who):
        with pytest.raises(KeyboardInterrupt, match=who):
            wanted.append(who)  # in here, because the next signal may come at once
            conn.recv(1)

    old = signal.signal(signal.SIGALRM, interrupt)
    try:
        # Again and again: a signal right before the thread sleeps does not wake it. (This is so with Python's own calls, too.)
        signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)
        interrupted("leader")
        server = listener(net, 81)
        leader = in_thread(server.accept)
        waiting(net, 1)
        interrupted("follower")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert len(net.running.host.waiting) == 1
    client.sendall(b"still here")
    assert conn.recv(100) == b"still here"
    net.kernel().connect(("10.0.0.2", 81))
    leader()[0].close()


def test_a_signal_that_raises_nothing_does_not_end_the_call(net):
    conn, client = connected(net)
    hits = []
    old = signal.signal(signal.SIGALRM, lambda *_: hits.append(1))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
        sending = in_thread(lambda: (until(lambda: len(hits) >= 2), client.sendall(b"x")))
        assert conn.recv(1) == b"x"
        sending()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert len(hits) >= 2


def test_a_signal_handler_may_wait_for_another_socket(net):
    """In the middle of a blocked recv of its own thread, leader or not."""
    first, client1 = connected(net, 80)
    second, client2 = connected(net, 81)
    begun, got = [], []

    def handler(*_):
        if not begun:
            begun.append(True)
            client2.sendall(b"for the handler")
            got.append(second.recv(100))

    old = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)
        sending = in_thread(lambda: (until(lambda: got), client1.sendall(b"for main")))
        assert first.recv(100) == b"for main"
        sending()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert got == [b"for the handler"]


def test_a_signal_handler_may_call_wherever_it_interrupts(net):
    """Also where its thread is in the middle of a call, lock and all: a thousand signals into a loop of calls."""
    sock = net.running.socket(socket.AF_INET, socket.SOCK_DGRAM)
    other = net.running.socket(socket.AF_INET, socket.SOCK_DGRAM)
    hits, refused = [], []

    def handler(*_):
        try:
            hits.append(other.sendto(b"from the handler", ("10.0.0.1", 9)))
        except RuntimeError as error:
            refused.append(str(error))
        except ConnectionRefusedError:
            pass

    old = signal.signal(signal.SIGALRM, handler)
    calls = 0
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        # Until there were enough of both: on a busy machine that takes longer than a second.
        begin = time.monotonic()
        while time.monotonic() < begin + 1 or (min(len(hits), calls) <= 50 and time.monotonic() < begin + 60):
            try:
                sock.sendto(b"from the loop", ("10.0.0.1", 9))
            except ConnectionRefusedError:
                pass
            calls += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
        sock.close()
        other.close()
    assert len(hits) > 50 and calls > 50
    if pystack.compiled()["pystack.runtime.calling"]:
        assert refused == []
    assert all("reentrant call" in text for text in refused)


def test_a_lost_socket_is_closed_and_complained_about(net):
    conn, client = connected(net)
    lost = net.running.socket()
    endpoints = net.running.host.inspect(lambda stack: len(stack.endpoints))
    with pytest.warns(ResourceWarning, match="unclosed"):
        del lost
    assert until(lambda: net.running.host.inspect(lambda stack: len(stack.endpoints)) == endpoints - 1)


def test_calls_without_a_stack_are_enetdown():
    with pytest.raises(OSError) as caught:
        socket.socket()
    assert caught.value.errno == errno.ENETDOWN
    assert "pystack.up" in str(caught.value)


def test_two_stacks_talk_to_each_other_through_the_kernel():
    from pystack.kernel.netns import Namespace, _write
    from pystack.running import up

    with Namespace.new() as space:
        space.quiet()
        space.call(_write, "/proc/sys/net/ipv4/ip_forward", "1")
        with (
            up("tap0", "10.0.0.2/24", "10.0.0.1", netns=space, name="a") as a,
            up("tap1", "10.0.1.2/24", "10.0.1.1", netns=space, name="b") as b,
        ):
            with a.socket() as server, b.socket() as client:
                server.bind(("", 80))
                server.listen()
                client.settimeout(PATIENCE)
                client.connect(("10.0.0.2", 80))
                server.settimeout(PATIENCE)
                conn, address = server.accept()
                with conn:
                    assert address[0] == "10.0.1.2"
                    client.sendall(b"from b")
                    assert conn.recv(10) == b"from b"


def test_loopback_within_one_stack(net):
    server = listener(net, 81)
    client = net.socket()
    result = in_thread(server.accept)
    client.connect(("127.0.0.1", 81))
    with result()[0] as conn:
        client.sendall(b"x" * 100_000)
        client.close()
        got = b""
        while data := conn.recv(65536):
            got += data
        assert got == b"x" * 100_000


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_fork_does_not_share_the_stack(net):
    import os

    conn, _ = connected(net)
    pid = os.fork()
    if pid == 0:
        try:
            conn.recv(1)
        except OSError as exc:
            os._exit(0 if exc.errno == errno.ENETDOWN else 1)
        os._exit(2)
    assert os.waitpid(pid, 0)[1] == 0


def test_link_down_and_up_again(net):
    net.sh("ip link set tap0 down")
    assert net.sh("ping -c 1 -W 1 10.0.0.2").returncode != 0
    net.sh("ip link set tap0 up")
    assert "1 received" in net.sh("ping -c 1 -W 20 10.0.0.2").stdout
    assert net.running.host.failure is None


def test_a_device_taken_away_stops_the_stack_loudly(caplog):
    from pystack.kernel.netns import Namespace
    from pystack.running import up

    with Namespace.new() as space, up(netns=space) as running:
        with running.socket() as sock:
            sock.bind(("", 80))
            sock.listen()
            result = in_thread(sock.accept)
            assert until(lambda: running.host.waiting)
            with caplog.at_level(logging.CRITICAL):
                space.run(["ip", "link", "del", "tap0"])
                with pytest.raises(OSError) as caught:
                    result()
        assert caught.value.errno == errno.ENETDOWN
        assert isinstance(running.host.failure, OSError)
        assert "the stack pystack stopped: its device was deleted" in caplog.text
        assert "Traceback" not in caplog.text  # nothing is wrong with our code
