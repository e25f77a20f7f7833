"""The driver's locks and gates under many threads, signals and forks: counted, so that one lost wake-up or one double owner shows."""

import os
import signal
import sys
import threading
import time

import pytest

from pystack import socket
from pystack.running import up
from pystack.runtime.lock import Gate, Lock
from tests.support.patience import PATIENCE

THREADS = 8
ROUNDS = 2000


@pytest.fixture(autouse=True)
def hasty():
    """The interpreter changes threads as often as it can."""
    old = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(old)


@pytest.fixture
def signals():
    """A signal each millisecond; its handler counts."""
    seen = []
    old = signal.signal(signal.SIGALRM, lambda *_: seen.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    yield seen
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, old)


def together(*works):
    """Run them in threads; none may hang, none may raise."""
    errors = []

    def guarded(work):
        try:
            work()
        except BaseException as exc:
            errors.append(exc)

    threads = [threading.Thread(target=guarded, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    limit = time.monotonic() + 4 * PATIENCE
    for thread in threads:
        thread.join(max(0.1, limit - time.monotonic()))
        assert not thread.is_alive(), "a thread hangs"
    assert errors == []


def test_one_owner_at_a_time(signals):
    """A sum that a second owner, or a lock that is taken twice and given back once, would spoil."""
    lock = Lock()
    total = [0]
    inside = []
    handled = []

    def handler(*_):
        # In the middle of whatever the main thread does: reentrant, or somebody else's.
        with lock:
            handled.append(1)

    signal.signal(signal.SIGALRM, handler)

    def work():
        for i in range(ROUNDS):
            if i % 3 == 0:
                while not lock.try_acquire():
                    time.sleep(0)
            else:
                lock.acquire()
            with lock:
                assert lock.mine()
                inside.append(1)
                now = total[0]
                for _ in range(5):
                    pass
                total[0] = now + 1
                assert len(inside) == 1
                inside.pop()
            assert lock.mine()
            lock.release()
            assert not lock.mine()

    def main_too():
        for _ in range(ROUNDS):
            with lock:
                total[0] += 1

    others = threading.Thread(target=together, args=[work] * THREADS, daemon=True)
    others.start()
    main_too()
    others.join(5 * PATIENCE)
    assert total[0] == (THREADS + 1) * ROUNDS
    assert not lock.mine() and lock.try_acquire()
    lock.release()
    with pytest.raises(RuntimeError):
        lock.release()


def test_no_opening_of_a_gate_is_lost(signals):
    """Two threads let each other through in turn; a lost opening ends in the timeout."""
    gates = [Gate(), Gate()]
    passed = [0, 0]

    def work(i):
        for _ in range(ROUNDS * 3):
            # Open the other's, then wait at one's own, in one call.
            assert gates[i].wait(60_000_000_000, gates[1 - i])
            passed[i] += 1
        gates[1 - i].open()

    together(lambda: work(0), lambda: work(1))
    assert passed == [ROUNDS * 3] * 2


def test_a_gate_that_times_out_is_shut_and_one_that_was_opened_is_open():
    gate = Gate()
    for _ in range(50):
        assert gate.wait(100_000, Gate()) is False
    gate.open()
    assert gate.wait(-1, Gate()) is True
    assert gate.wait(0, Gate()) is False


def test_children_of_a_process_whose_locks_are_all_in_use():
    """Each child renews what it inherited, wherever the others were."""
    locks = [Lock() for _ in range(4)]
    stop = threading.Event()

    def work(i):
        while not stop.is_set():
            with locks[i], locks[i]:
                time.sleep(0)

    threads = [threading.Thread(target=work, args=(i % 4,), daemon=True) for i in range(8)]
    for thread in threads:
        thread.start()
    try:
        for number in range(30):
            with locks[0] if number % 2 else Lock():
                pid = os.fork()
                if pid == 0:
                    good = True
                    for lock in locks:
                        mine = lock.mine()
                        lock.renew()
                        good = good and lock.mine() == mine and lock.try_acquire()
                        lock.release()
                    os._exit(0 if good else 1)
            limit = time.monotonic() + PATIENCE
            while (found := os.waitpid(pid, os.WNOHANG)) == (0, 0) and time.monotonic() < limit:
                time.sleep(0.001)
            if found == (0, 0):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            assert found[1] == 0 and found[0] == pid
    finally:
        stop.set()
        for thread in threads:
            thread.join(PATIENCE)


def test_a_stack_under_everything_at_once(signals):
    """Blocking pairs, descriptors that come and go, looks, waits that time out, in threads and under signals: all bytes arrive."""
    with up(tap=None, name="stress") as running:
        size = 40_000

        def talk():
            with socket.create_server(("127.0.0.1", 0)) as server:
                client = socket.create_connection(server.getsockname())
                conn, _ = server.accept()
            data = os.urandom(size)
            got = bytearray()

            def receive():
                while piece := conn.recv(3000):
                    got.extend(piece)

            reader = threading.Thread(target=receive, daemon=True)
            reader.start()
            for at in range(0, size, 400):
                client.sendall(data[at : at + 400])
            client.close()
            reader.join(3 * PATIENCE)
            assert bytes(got) == data
            conn.close()

        def churn():
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.bind(("127.0.0.1", 0))
                sock.settimeout(0.0005)
                for i in range(150):
                    twin = sock.dup()
                    twin.fileno()
                    if i % 2:
                        sock.sendto(b"x", sock.getsockname())
                    try:
                        twin.recv(10)
                    except TimeoutError:
                        pass
                    twin.close()

        def look():
            for _ in range(300):
                running.host.inspect(lambda stack: len(stack.endpoints))

        together(*[talk] * 6, *[churn] * 3, look)
        assert running.host.failure is None
        assert running.host.inspect(lambda stack: len(running.host.waiting)) == 0
    assert signals
