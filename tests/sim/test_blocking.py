"""Programs that block, in virtual time (pystack/sim/green.py, blocking.py, threads.py)."""

import _threading_local
import array
import asyncio
import concurrent.futures
import contextlib
import errno
import fcntl
import gc
import multiprocessing
import os
import pty
import queue
import random
import select
import selectors
import signal
import socket
import subprocess
import sys
import termios
import threading
import time
import types
import uuid
import warnings
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer

import pytest

from pystack.patching import held
from pystack.sim import S, SimDeadlock, SimError
from tests.sim.test_asyncio import pair

pytest.importorskip("greenlet")


class Slow(BaseHTTPRequestHandler):
    def do_GET(self):
        time.sleep(2)
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *args):
        pass


def web_server(cls):
    def serve():
        with cls(("", 80), Slow) as server:
            server.serve_forever()

    return serve


@pytest.mark.parametrize(("cls", "times"), [(HTTPServer, [2.06, 4.06, 6.06]), (ThreadingHTTPServer, [2.06] * 3)])
def test_requests_against_http_server_unmodified(cls, times):
    requests = pytest.importorskip("requests")

    def client():
        found = []

        def one():
            assert requests.get("http://server/").text == "hello"
            found.append(round(time.monotonic(), 6))

        threads = [threading.Thread(target=one) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return found

    net, a, b = pair()
    assert net.run({b: client}, background={a: web_server(cls)}) == {b: times}
    assert threading.active_count() < 10 and not isinstance(threading.current_thread(), type(None))


def test_http_client_timeout_in_virtual_time():
    requests = pytest.importorskip("requests")

    def client():
        with pytest.raises(requests.exceptions.ReadTimeout):
            requests.get("http://server/", timeout=0.5)
        return round(time.monotonic(), 3)

    net, a, b = pair()
    assert net.run({b: client}, background={a: web_server(HTTPServer)}) == {
        b: 0.54
    }  # ARP, the handshake, and half a second


def test_asyncio_and_blocking_programs_together():
    net, a, b = pair()

    async def server():
        async def echo(reader, writer):
            writer.write(await reader.readline())
            await writer.drain()
            writer.close()

        async with await asyncio.start_server(echo, "0.0.0.0", 7) as listener:
            await listener.serve_forever()

    def client():
        time.sleep(0.5)
        with socket.create_connection(("server", 7)) as sock:
            sock.sendall(b"blocking\n")
            return sock.makefile().readline(), time.monotonic()

    assert net.run({b: client}, background={a: server}) == {b: ("blocking\n", 0.56)}


def test_asyncio_run_inside_a_program_blocks_only_that_program():
    net, a, b = pair()

    async def main():
        loop = asyncio.get_running_loop()
        began = loop.time()
        await asyncio.gather(
            asyncio.to_thread(time.sleep, 1), asyncio.sleep(1), loop.run_in_executor(None, time.sleep, 1)
        )
        time.sleep(2)  # blocks this loop, and no other
        return loop.time() - began

    def program():
        return asyncio.run(main()), time.monotonic()

    assert net.run({a: program, b: [program, program]}) == {a: (3.0, 3.0), b: [(3.0, 3.0), (3.0, 3.0)]}


def test_an_executor_in_a_shared_loop_runs_beside_it():
    net, a, b = pair()

    async def main():
        async with asyncio.TaskGroup() as group:
            one = group.create_task(asyncio.to_thread(lambda: (time.sleep(1), socket.gethostname())[1]))
            two = group.create_task(asyncio.sleep(1, "slept"))
        with pytest.raises(LookupError):
            await asyncio.to_thread(fail)
        return one.result(), two.result(), asyncio.get_running_loop().time()

    def fail():
        raise LookupError

    assert net.run({b: main}) == {b: ("client", "slept", 1.0)}


def test_threads_locks_queues_and_executors():
    def program():
        found = []
        lock, event, box = threading.RLock(), threading.Event(), queue.Queue(maxsize=1)
        local = threading.local()

        def worker(number):
            local.number = number
            event.wait()
            with lock:
                time.sleep(1)
                found.append((local.number, time.monotonic()))
            box.put(number)

        threads = [threading.Thread(target=worker, args=(n,)) for n in range(3)]
        for thread in threads:
            thread.start()
        assert all(thread.is_alive() for thread in threads)
        assert not event.wait(timeout=2.5)
        event.set()
        got = [box.get(timeout=10) for _ in threads]
        threads[0].join()
        assert not threads[0].is_alive() and not hasattr(local, "number")
        with pytest.raises(queue.Empty):
            box.get(timeout=0.25)
        plain = threading.Lock()
        plain.acquire()
        assert not plain.acquire(timeout=0.25)
        plain.release()
        assert not plain.locked()  # the wait that ended is not in the queue any more
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            list(pool.map(time.sleep, [1, 1, 1]))
        simple = queue.SimpleQueue()
        threading.Timer(1, simple.put, ["timer"]).start()
        assert simple.get() == "timer"
        return found, got, time.monotonic(), len({threading.get_ident(), *(thread.ident for thread in threads)})

    net, a, b = pair()
    found, got, end, idents = net.run({a: program})[a]
    assert found == [(0, 3.5), (1, 4.5), (2, 5.5)] and got == [0, 1, 2] and idents == 4
    assert end == 6 + 2 + 1


def test_threads_are_listed_and_their_errors_are_shown(monkeypatch):
    class Other(BaseException):
        pass

    def fail(error):
        raise error

    def program():
        shown = []
        monkeypatch.setattr(threading, "excepthook", lambda args: shown.append(args.exc_type))
        thread = threading.Thread(target=time.sleep, args=(1,), name="sleeper")
        thread.start()
        assert threading.active_count() == 3 and threading.current_thread() in threading.enumerate()
        assert [one.name for one in threading.enumerate()] == ["MainThread", "program", "sleeper"]
        thread.join()
        assert threading.active_count() == 2
        for error in (ValueError(), Other(), SystemExit()):
            thread = threading.Thread(target=fail, args=(error,))
            thread.start()
            thread.join()
        return shown

    net, a, b = pair()
    assert net.run({a: program}, background={b: lambda: time.sleep(9)})[a] == [ValueError, Other]


def test_an_interrupt_in_a_thread_ends_the_run():
    """Ctrl-C reaches the code that runs at that moment, which may be a thread of a program."""

    def program():
        thread = threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGINT))
        thread.start()
        time.sleep(1)

    net, a, b = pair()
    with pytest.raises(KeyboardInterrupt):
        net.run({a: program})
    assert net.hub.programs == [] and net.now == 0


def test_select_poll_and_selectors():
    def client():
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(("", 9))
        assert select.select([sock], [], [], 1) == ([], [], []) and time.monotonic() == 1
        assert select.select([sock], [sock], []) == ([], [sock], [])
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        assert poll.poll(500) == [] and time.monotonic() == 1.5
        sock.sendto(b"x", ("127.0.0.1", 9))
        assert poll.poll() == [(sock.fileno(), select.POLLIN)]
        with selectors.DefaultSelector() as selector:
            selector.register(sock, selectors.EVENT_READ, "data")
            assert [(key.data, events) for key, events in selector.select()] == [("data", selectors.EVENT_READ)]
            assert len(selector.get_map()) == 1
            assert list(selector.get_map()) == [sock.fileno()]  # as the standard library's
            assert selector.get_map()[sock].data == "data"
        with pytest.raises(NotImplementedError, match="select.epoll is not available"):
            select.epoll()
        sock.close()
        return "done"

    net, a, b = pair()
    assert net.run({a: client}) == {a: "done"}


def test_a_wait_goes_on_if_a_socket_was_ready_only_when_it_was_registered():
    """A socket that is not connected counts as ready. poll() must not return an empty list before its timeout has passed."""

    def client():
        sock = socket.socket()
        sock.setblocking(False)
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        sock.connect_ex(("10.0.0.1", 5))
        found = poll.poll(5000)
        assert found == [(sock.fileno(), select.POLLIN | select.POLLERR | select.POLLHUP)]
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED
        sock.close()
        return time.monotonic()

    net, a, b = pair()
    assert net.run({b: client})[b] == 0.04  # two round trips: ARP, and the reset

    with pytest.raises(ValueError, match="non-negative"):
        net.run({b: lambda: select.select([], [], [], -1)})


def test_a_socketpair_can_be_waited_for():
    """Programs use a socketpair to wake a thread that waits for sockets."""

    def program():
        left, right = socket.socketpair()
        threading.Timer(1, right.send, [b"wake up"]).start()
        with left, right, selectors.DefaultSelector() as selector:
            selector.register(left, selectors.EVENT_READ)
            assert selector.select(0.5) == [] and len(selector.select()) == 1
            assert left.recv(100) == b"wake up" and time.monotonic() == 1
            for _ in range(40):  # later ACKs are delayed
                right.send(b"a"), right.send(b"b")
                assert left.recv(1) + left.recv(1) == b"ab"
            assert time.monotonic() == 1
        with pytest.raises(OSError, match="not available in virtual time"):
            socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)

    net, a, b = pair()
    net.run({a: program})


def test_random_numbers_are_the_networks():
    def numbers():
        return random.random(), random.Random().random(), uuid.uuid4(), random.SystemRandom().random()

    def run(seed):
        net, a, b = pair(seed)
        return net.run({a: numbers, b: numbers})

    first, second, other = (list(run(seed).values()) for seed in (1, 1, 2))
    assert first == second and first != other and first[0] != first[1]


def test_a_deadlock_names_the_programs():
    net, a, b = pair()

    def lonely():
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(("", 99))
        try:
            sock.recv(1)
        finally:
            sock.close()

    def locked():
        lock = threading.Lock()
        lock.acquire()
        lock.acquire()

    with pytest.raises(SimDeadlock) as caught:
        net.run({a: lonely, b: locked})
    lines = str(caught.value).splitlines()
    assert any(
        "host 'server': program 'lonely' waits for the socket 0.0.0.0:99" in line and "test_blocking.py:" in line
        for line in lines
    )
    assert any("host 'client': program 'locked' waits for a lock" in line for line in lines)


def test_the_limit_and_errors_end_all_programs():
    net, a, b = pair()
    cleaned = []

    def forever():
        try:
            while True:
                time.sleep(10)
        finally:
            cleaned.append(time.monotonic())

    def fail():
        time.sleep(5)
        raise LookupError("a program's own")

    with pytest.raises(SimError, match="have not ended after 100 s"):
        net.run({a: forever}, limit=100 * S)
    with pytest.raises(LookupError, match="a program's own"):
        net.run({a: fail}, background={b: forever})
    assert len(cleaned) == 2 and not net.hub.programs


def test_the_sockets_of_a_program_that_was_ended_are_closed_without_a_warning():
    """The kernel closes the sockets of a process that ends, too. Here a cycle keeps the socket until garbage is collected."""

    def forever():
        cycle = [socket.socket()]
        cycle.append(cycle)
        time.sleep(1000)

    net, a, b = pair()
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        net.run({a: lambda: time.sleep(1)}, background={b: forever})
        gc.collect()
    net.settle()
    assert found == [] and not b.stack.endpoints


def test_sends_of_two_programs_do_not_mix():
    """A send that waits for room keeps its turn, as among threads of a kernel."""
    net, a, b = pair(rate=10_000_000)
    size = 600_000

    def server():
        with socket.create_server(("", 80)) as listener:
            sock, _ = listener.accept()
            with sock:
                data = bytearray()
                while part := sock.recv(1 << 16):
                    data += part
                return bytes(data)

    def client():
        time.sleep(0.01)
        with socket.create_connection(("server", 80)) as sock:
            threads = [threading.Thread(target=sock.sendall, args=(letter * size,)) for letter in (b"a", b"b")]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

    data = net.run({a: server, b: client})[a]
    assert data in (b"a" * size + b"b" * size, b"b" * size + b"a" * size)


def test_processes_are_refused_and_programs_that_never_wait_are_noticed(monkeypatch):
    net, a, b = pair()

    def program():
        spawn = multiprocessing.get_context("spawn")
        calls = [
            os.fork, lambda: os.forkpty()[0] or os._exit(0), lambda: pty.fork()[0] or os._exit(0), lambda: subprocess.run(["true"]), lambda: os.system("true"), lambda: os.popen("true"),
            lambda: os.posix_spawn("/bin/true", ["true"], {}), lambda: os.execvp("/no/such", ["x"]),
            lambda: os.spawnlp(os.P_WAIT, "true", "true"), lambda: multiprocessing.Process(target=print).start(),
            lambda: spawn.Process(target=print).start(),
        ]  # fmt: skip
        for call in calls:
            with pytest.raises(OSError, match="'server' has no processes"):
                call()

    net.run({a: program})
    assert subprocess.run(["true"]).returncode == 0

    def spin():
        while True:
            time.sleep(0)

    monkeypatch.setattr("pystack.sim.hub.STEPS", 1000)
    with pytest.raises(SimError, match="time cannot pass while programs never wait\\n.*program 'spin'"):
        net.run({a: spin})


def test_without_greenlet_the_error_names_the_extra(monkeypatch):
    monkeypatch.setattr("pystack.sim.green._greenlet", None)
    net, a, b = pair()
    with pytest.raises(SimError, match=r"pip install 'pystack\[sim\]'"):
        net.run({a: lambda: None})

    async def main():
        return await asyncio.to_thread(socket.gethostname)

    assert net.run({a: main}) == {a: "server"}


def test_a_program_that_was_ended_before_it_began_never_begins():
    net, a, b = pair()
    began = []
    net.run({a: lambda: None}, background={b: lambda: began.append(1)})
    net.run({a: lambda: time.sleep(1)})
    assert began == []


@pytest.mark.parametrize("kind", ["recv", "recvfrom", "accept", "clock"])
def test_a_program_that_only_tries_again_is_noticed(kind, monkeypatch):
    monkeypatch.setattr("pystack.sim.hub.SPINS", 1000)
    net, a, b = pair()

    def program():
        if kind == "clock":
            while time.monotonic() < 5:
                pass
        left, right = socket.socketpair()
        with left, right, socket.socket(type=socket.SOCK_DGRAM) as datagrams, socket.socket() as listener:
            listener.listen()
            sock = {"recv": left, "recvfrom": datagrams, "accept": listener}[kind]
            sock.setblocking(False)
            while True:
                with contextlib.suppress(BlockingIOError):
                    sock.accept() if kind == "accept" else getattr(sock, kind)(10)

    with pytest.raises(
        SimError, match=r"the program 'program' on host 'server' (tries a socket|reads the clock).* let it sleep"
    ):
        net.run({a: program})


def test_a_program_that_tries_again_and_sleeps_is_not_disturbed(monkeypatch):
    monkeypatch.setattr("pystack.sim.hub.SPINS", 100)
    net, a, b = pair()

    def program():
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.bind(("", 9))
            while True:
                try:
                    return sock.recv(10), time.monotonic()
                except BlockingIOError:
                    time.sleep(0.001)

    def sender():
        time.sleep(0.5)
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            sock.sendto(b"x", ("server", 9))

    assert net.run({a: program, b: sender})[a][0] == b"x"


@pytest.mark.parametrize("is_async", [False, True])
def test_a_run_waits_for_the_threads_of_its_programs_as_an_interpreter_does(is_async):
    net, a, b = pair()
    ended = []

    def work(name, seconds):
        time.sleep(seconds)
        ended.append((name, time.monotonic()))

    def start():
        threading.Thread(target=work, args=("thread", 3)).start()
        threading.Thread(target=lambda: threading.Thread(target=work, args=("its thread", 5)).start()).start()
        threading.Thread(target=work, args=("daemon", 9), daemon=True).start()
        executor = concurrent.futures.ThreadPoolExecutor(1)  # never shut down
        for number in (1, 2):
            executor.submit(work, f"job {number}", 1)
        return time.monotonic()

    async def start_async():
        return start()

    def background():
        threading.Thread(target=work, args=("background", 30)).start()
        time.sleep(100)

    assert net.run({a: start_async if is_async else start}, background={b: background}) == {a: 0.0}
    assert ended == [("job 1", 1.0), ("job 2", 2.0), ("thread", 3.0), ("its thread", 5.0)]


def test_a_thread_that_never_ends_is_in_the_report():
    net, a, b = pair()

    def program():
        threading.Thread(target=threading.Event().wait, name="forgotten").start()

    with pytest.raises(SimDeadlock, match="program 'forgotten' waits for a lock"):
        net.run({a: program})


@pytest.mark.parametrize("kind", ["with", "acquire", "async"])
def test_two_programs_that_contend_for_a_lock_of_the_kernel_are_ended_with_a_report(kind, monkeypatch):
    monkeypatch.setattr("pystack.sim.watchdog.INTERVAL", 0.05)
    net, a, b = pair()
    lock = threading.Lock()

    def program():
        if kind == "with":
            with lock:
                time.sleep(1)
        else:
            assert lock.acquire()
            try:
                time.sleep(1)
            finally:
                lock.release()

    async def program_async():
        with lock:
            await asyncio.sleep(1)

    one = program_async if kind == "async" else program
    with pytest.raises(SimDeadlock, match="in real time for a lock, at .*test_blocking.py") as caught:
        net.run({a: one, b: one})
    assert "a program sleeps or waits: make it in a program" in str(caught.value)
    assert not lock.locked() and held() == []


def test_a_program_that_computes_for_long_is_left_alone(monkeypatch):
    monkeypatch.setattr("pystack.sim.watchdog.INTERVAL", 0.2)
    net, a, b = pair()
    lock = threading.Lock()

    def program():
        end = time.process_time() + 0.3  # real, in virtual time, too
        while time.process_time() < end:
            with lock:
                pass
        return net.hub.reason

    assert net.run({a: program})[a] == ""


def test_a_thread_local_of_an_imported_module_is_each_programs_own(monkeypatch):
    """anyio's worker threads keep their loop in one. Code outside of the network sees what it has put there."""
    module = types.ModuleType("made_before")
    original = module.own = module.same = threading.local()
    monkeypatch.setitem(sys.modules, "made_before", module)
    module.own.value = "outside"
    seen = []

    def work(number):
        seen.append(hasattr(module.own, "value"))
        module.own.value = number
        time.sleep(1)
        seen.append(module.same.value)
        del module.own.value
        seen.append(hasattr(module.own, "value"))

    def client():
        threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    for _ in range(2):
        net, a, b = pair()
        seen.clear()
        net.run({b: client})
        assert sorted(map(str, seen)) == ["0", "1", "False", "False", "False", "False"]
        assert module.own is module.same is original and original.value == "outside"
    assert _threading_local.local is not threading.local  # the standard library's two classes are what they were


def test_calls_for_a_descriptor_know_simulated_sockets():
    """Servers make their listeners inheritable, and clients set FD_CLOEXEC. Other descriptors are the kernel's."""

    def client():
        with socket.socket() as sock, socket.socket() as other:
            seen = [sock.get_inheritable(), fcntl.fcntl(sock, fcntl.F_GETFD)]
            sock.set_inheritable(True)
            seen += [os.get_inheritable(sock.fileno()), fcntl.fcntl(sock.fileno(), fcntl.F_GETFD)]
            fcntl.fcntl(sock, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
            seen += [sock.get_inheritable(), other.get_inheritable()]
            sock.settimeout(5)
            seen += [os.get_blocking(sock.fileno()), os.get_blocking(other.fileno())]
            seen.append(fcntl.fcntl(sock, fcntl.F_GETFL) == os.O_RDWR | os.O_NONBLOCK)
            for call in (
                lambda: os.set_blocking(sock.fileno(), False),
                lambda: fcntl.fcntl(sock, fcntl.F_SETFL, os.O_NONBLOCK),
            ):
                with pytest.raises(OSError, match=r"call its setblocking\(\)"):
                    call()
            other.set_inheritable(True)
        with open(os.devnull) as file:
            seen += [os.get_inheritable(file.fileno()), os.get_blocking(file.fileno())]
            seen.append(fcntl.fcntl(file, fcntl.F_GETFL) & os.O_NONBLOCK)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.get_inheritable(sock.fileno())
        return seen

    before = fcntl.fcntl, os.get_inheritable
    net, a, b = pair()
    assert net.run({b: client})[b] == [False, 1, True, 0, False, False, False, True, True, False, True, 0]
    assert (fcntl.fcntl, os.get_inheritable) == before


@pytest.mark.parametrize("blocking", [True, False])
def test_a_simulated_socket_is_read_and_written_by_its_number(tmp_path, blocking):
    """os.sendfile, os.read, os.write and FIONREAD, as on a live stack. A file of the kernel stays the kernel's."""
    data = bytes(range(256)) * 2000
    (tmp_path / "file").write_bytes(data)

    def server():
        with socket.create_server(("0.0.0.0", 80)) as listener:
            conn, _ = listener.accept()
            with conn, (tmp_path / "file").open("rb") as file:
                assert os.read(conn.fileno(), 100) == b"GET"
                if not blocking:
                    conn.setblocking(False)
                    with pytest.raises(BlockingIOError):
                        os.read(conn.fileno(), 1)
                at = 0
                while at < len(data):
                    if not blocking:
                        select.select([], [conn], [])
                    at += os.sendfile(conn.fileno(), file.fileno(), at, 1 << 20)
                assert os.sendfile(conn.fileno(), file.fileno(), at, 10) == 0

    def client():
        time.sleep(0.1)
        with socket.create_connection(("server", 80)) as sock:
            assert os.write(sock.fileno(), b"GET") == 3
            time.sleep(1)
            queued = array.array("i", [0])
            fcntl.ioctl(sock, termios.FIONREAD, queued)
            with sock.makefile("rb") as file:
                return queued[0], file.read()

    net, a, b = pair()
    queued, got = net.run({b: client}, background={a: server})[b]
    assert queued > 1000 and got == data


def test_the_threads_of_a_coroutine_may_wait_for_the_end_of_its_loop():
    """anyio's worker threads end when the first task of their loop has ended, so the loop must not wait for them."""
    to_thread = pytest.importorskip("anyio.to_thread")
    seen = []

    def late():
        time.sleep(2)
        seen.append(time.monotonic())

    async def client():
        threading.Thread(target=late).start()
        return await to_thread.run_sync(lambda: 5)

    net, a, b = pair()
    assert net.run({b: client}) == {b: 5}
    assert seen == [2.0]  # the run has waited for the other thread


def test_a_program_that_waits_for_a_socket_of_a_host_that_reboots_gets_the_error():
    """Each kind of wait, and each later call. Only close() is what it was."""
    seen = {}

    def connection():
        sock = socket.create_connection(("client", 7))
        return sock, lambda: sock.recv(1)

    def selected():
        sock = socket.create_connection(("client", 7))
        return sock, lambda: (select.select([sock], [], []), sock.recv(1))

    def listener():
        sock = socket.create_server(("0.0.0.0", 80))
        return sock, sock.accept

    def datagrams():
        sock = socket.socket(type=socket.SOCK_DGRAM)
        sock.bind(("0.0.0.0", 53))
        return sock, lambda: sock.recvfrom(100)

    def program(make):
        sock, wait = make()
        with pytest.raises(OSError, match="has rebooted since this socket was made") as caught:
            wait()
        for again in (wait, lambda: sock.send(b"x"), lambda: sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)):
            with pytest.raises(OSError) as later:
                again()
            assert later.value.errno == errno.ENETDOWN
        sock.close()
        seen[make.__name__] = caught.value.errno, time.monotonic()
        with socket.create_server(("0.0.0.0", 8000 + len(seen))), socket.create_connection(("client", 7)) as fresh:
            fresh.sendall(b"new")

    async def loop():
        reader, writer = await asyncio.open_connection("client", 7)
        lost = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: lost.append(context["message"]))
        async with await asyncio.start_server(lambda reader, writer: None, "0.0.0.0", 81):
            with pytest.raises(OSError) as caught:
                await reader.read(1)
            await asyncio.sleep(1)
        seen["loop"] = caught.value.errno, time.monotonic() - 1
        assert "a server has lost its listener" in lost

    def client():
        held = []
        with socket.create_server(("0.0.0.0", 7)) as server, contextlib.ExitStack() as undo:
            server.settimeout(10)
            with contextlib.suppress(TimeoutError):
                while True:
                    held.append(undo.enter_context(server.accept()[0]))
        return len(held)

    net, a, b = pair()
    net.at(2 * S, a.boot)
    kinds = (connection, selected, listener, datagrams)
    programs = [lambda make=make: (time.sleep(0.1), program(make)) for make in kinds]

    async def later():
        await asyncio.sleep(0.1)
        await loop()

    assert net.run({a: [*programs, later], b: client})[b] == 7
    assert seen == dict.fromkeys([*(make.__name__ for make in kinds), "loop"], (errno.ENETDOWN, 2.0))
