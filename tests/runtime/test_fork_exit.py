"""What a child process inherits, and what happens when the interpreter ends: each program runs in a process of its own."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest

HEAD = """
import atexit, errno, os, select, signal, sys, threading, time
import pystack
from pystack import socket


def pair():
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        conn, _ = server.accept()
    return client, conn


def child(work, how="exit"):
    "Fork; the child's exit status, or None where it hangs."
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        if how == "exit":
            work()
            sys.exit(0)
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    limit = time.monotonic() + 90
    while time.monotonic() < limit:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


def refused(call):
    "True where a call says that the stack is the parent's."
    try:
        call()
    except OSError as exc:
        return exc.errno == errno.ENETDOWN and "parent" in str(exc)
    return False

"""


def run(code, env=None, seconds=200):
    """The program's standard output and error; it must end normally."""
    whole = HEAD + textwrap.dedent(code)
    command = ["timeout", "-s", "KILL", str(seconds), sys.executable, "-W", "ignore", "-c", whole]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, **(env or {})}, timeout=seconds + 5
    )
    assert done.returncode == 0, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout, done.stderr


# -- fork ----------------------------------------------------------------------------------------------------------------


def test_every_call_in_a_child_says_whose_the_stack_is():
    out, err = run("""
        stack = pystack.up(tap=None, name="fork")
        client, conn = pair()
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.fileno()
        client.fileno()
        listener = socket.create_server(("127.0.0.1", 0))

        def work():
            calls = [lambda: client.send(b"x"), lambda: client.sendall(b"x"), lambda: conn.recv(1), listener.accept,
                lambda: udp.sendto(b"x", ("127.0.0.1", 9)), lambda: udp.recvfrom(1), socket.socket,
                lambda: socket.create_server(("127.0.0.1", 0)), lambda: client.shutdown(2), lambda: client.setsockopt(6, 1, 1),
                lambda: socket.create_connection(("127.0.0.1", 1)), client.fileno, conn.fileno, client.detach,
                lambda: select.select([listener], [], []), lambda: stack.add_address("10.0.0.9/24")]
            for number, call in enumerate(calls):
                if not refused(call):
                    print("call", number, "is not refused")
            for sock in (client, conn, udp, listener):
                sock.close()
                if sock.fileno() != -1:
                    print("not closed")

        print(child(work), child(work, "_exit"))
        client.sendall(b"abc")
        print(conn.recv(3), select.select([client], [client], [], 0) == ([], [client], []), stack.host.failure)
        stack.close()
    """)
    assert out == "0 0\nb'abc' True None\n" and err == ""


def test_forked_while_other_threads_are_in_calls():
    """Each lock that another thread has is the child's to take: none of these children hangs, and the parent goes on."""
    out, err = run(
        """
        stack = pystack.up(tap=None, name="busy")
        stop = threading.Event()

        def traffic():
            client, conn = pair()
            while not stop.is_set():
                client.sendall(b"x" * 1000)
                conn.recv(1000)
                twin = client.dup()
                twin.fileno()
                twin.close()
            client.close()
            conn.close()

        threads = [threading.Thread(target=traffic) for _ in range(3)]
        for thread in threads:
            thread.start()
        mine = pair()

        def work():
            for sock in mine:
                sock.dup if False else None
                sock.close()
            stack.close()

        print([child(work) for _ in range(15)] == [0] * 15)
        stop.set()
        for thread in threads:
            thread.join(60)
        mine[0].sendall(b"y")
        print(mine[1].recv(1), stack.host.failure)
        stack.close()
    """,
        seconds=250,
    )
    assert out == "True\nb'y' None\n" and err == ""


def test_a_child_that_ends_normally_leaves_the_parents_control_socket(tmp_path):
    out, err = run(
        """
        from pystack.control import server as control
        stack = pystack.up(tap=None, name="ctl", control=True)

        def leave():
            pass

        def close():
            stack.close()

        def block():
            with stack:
                pass

        for work in (leave, close, block):
            print(child(work), os.path.exists(stack.control.path), len(control.query("ctl", "sockets")) >= 0)
        stack.close()
        print(os.path.exists(stack.control.path))
    """,
        {"XDG_RUNTIME_DIR": str(tmp_path)},
    )
    assert out == "0 True True\n" * 3 + "False\n" and err == ""


def test_a_childs_descriptors_do_not_change_the_parents():
    """They are the same open files: what the child does to its sockets must not show in the parent's."""
    out, _ = run("""
        stack = pystack.up(tap=None, name="fd")
        client, conn = pair()
        conn.sendall(b"x")
        poll = select.poll()
        poll.register(client, select.POLLIN | select.POLLOUT)

        def work():
            for call in (lambda: client.recv(1), lambda: client.settimeout(None), client.close, conn.close):
                try:
                    call()
                except OSError:
                    pass

        print(child(work), poll.poll(0) == [(client.fileno(), select.POLLIN | select.POLLOUT)])
        print(client.recv(5), poll.poll(0) == [(client.fileno(), select.POLLOUT)])
        conn.close()
        print(client.recv(5))
        stack.close()
    """)
    assert out == "0 True\nb'x' True\nb''\n"


def test_files_that_the_parent_writes_are_not_written_twice(tmp_path):
    """A recording and a capture: what waits in their buffers is in the child's memory too."""
    out, _ = run(f"""
        from pystack.trace.recorder import Recorder
        from pystack.trace.pcapng import PcapngWriter
        from pystack.trace.replay import Replay
        paths = [{str(tmp_path / "a.trace")!r}, {str(tmp_path / "b.pcapng")!r}]
        recorder = Recorder(paths[0])
        writer = PcapngWriter.open(paths[1])
        number = writer.interface("x", 1)
        writer.packet(number, 1, bytes(60))
        stack = pystack.up(tap=None, name="rec", seed=5, recorder=lambda s: recorder.host("rec", 5, s.config))
        client, conn = pair()

        def work():
            recorder.close()
            writer.close()

        print(child(work), child(lambda: None))
        client.sendall(b"abc")
        print(conn.recv(3))
        stack.close()
        recorder.close()
        writer.close()
        print(os.path.getsize(paths[1]), Replay(paths[0]).run().calls > 5)
    """)
    with open(tmp_path / "b.pcapng", "rb") as file:
        size = len(file.read())
    assert out == f"0 0\nb'abc'\n{size} True\n"
    alone, _ = run(f"""
        from pystack.trace.pcapng import PcapngWriter
        writer = PcapngWriter.open({str(tmp_path / "c.pcapng")!r})
        writer.packet(writer.interface("x", 1), 1, bytes(60))
        writer.close()
        print(os.path.getsize({str(tmp_path / "c.pcapng")!r}))
    """)
    assert alone == f"{size}\n"


def test_forked_by_a_callback_under_the_lock_of_the_stack():
    out, _ = run("""
        stack = pystack.up(tap=None, name="deep")
        code = []

        def look(core):
            pid = os.fork()
            if pid == 0:
                code.append("child")
            else:
                code.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

        stack.host.inspect(look)
        if code == ["child"]:
            os._exit(7 if refused(socket.socket) else 8)
        print(code, stack.host.lock.mine())
        stack.close()
    """)
    assert out == "[7] False\n"


def test_a_child_makes_a_stack_of_its_own():
    out, err = run("""
        stack = pystack.up(tap=None, name="one")

        def work():
            with pystack.up(tap=None, name="two"):
                client, conn = pair()
                client.sendall(b"x")
                assert conn.recv(1) == b"x"
                client.close()
                conn.close()

        print(child(work))
        stack.close()
    """)
    assert out == "0\n" and err == ""


def test_multiprocessing_by_fork():
    out, err = run("""
        import multiprocessing
        stack = pystack.up(tap=None, name="mp")
        client, conn = pair()
        with multiprocessing.get_context("fork").Pool(2) as pool:
            print(pool.map(abs, range(-3, 3)))
        client.sendall(b"x")
        print(conn.recv(1))
        stack.close()
    """)
    assert out == "[3, 2, 1, 0, 1, 2]\nb'x'\n" and err == ""


# -- the interpreter ends --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "waits", ["accept", "recv", "recvfrom", "send", "select", "connect", "poll-loop", "aio", "turn"]
)
def test_daemon_threads_that_wait_end_without_a_word(waits):
    """As threads that are blocked in the kernel do."""
    out, err = run(f"""
        import asyncio
        from pystack import aio
        from pystack.runtime.poller import Poller
        stack = pystack.up(tap=None, name="exit")
        server = socket.create_server(("127.0.0.1", 0))
        client, conn = pair()
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", 0))
        # for `connect`, a route on which no host answers
        stack.host.setup("add_route", 0x0A000000, 8, 0, stack.host.stack.ifaces[0])

        def again():
            while True:
                if select.select([client], [], [], 0.01)[0]:
                    client.recv(1)

        def poll():
            poller = Poller(stack.host)
            poller.register(client, None)
            while True:
                poller.poll()

        def connect():
            socket.create_connection(("10.1.2.3", 1))

        def turn():
            threading.Thread(target=client.sendall, args=(bytes(100_000_000),), daemon=True).start()
            time.sleep(0.1)
            client.sendall(b"x")

        waits = {{"accept": server.accept, "recv": lambda: client.recv(1), "recvfrom": lambda: udp.recvfrom(1),
            "send": lambda: client.sendall(bytes(100_000_000)), "select": again, "connect": connect, "poll-loop": poll,
            "aio": lambda: aio.run(asyncio.sleep(60)), "turn": turn}}
        for _ in range(3 if {waits!r} not in ("aio",) else 1):
            threading.Thread(target=waits[{waits!r}], daemon=True).start()
        time.sleep(0.4)
        print("end")
    """)
    assert out == "end\n" and err == ""


def test_the_thread_that_ends_the_process_still_hears_that_the_stack_is_gone():
    """Functions that were registered before ours run after it, and must not wait for ever."""
    whole = """
        stack = pystack.up(tap=None, name="late")
        client, conn = pair()
        threading.Thread(target=lambda: conn.recv(1), daemon=True).start()
        time.sleep(0.1)
    """
    code = "import atexit\n\n\ndef last():\n    try:\n        client.send(b'x')\n    except OSError as exc:\n"
    code += "        print(exc.errno)\n\n\natexit.register(last)\n" + HEAD + textwrap.dedent(whole)
    done = subprocess.run(["timeout", "60", sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr, done.returncode) == ("100\n", "", 0)


def test_what_closed_connections_still_have_to_deliver_is_delivered_at_the_end():
    out, err = run("""
        stack = pystack.up(tap=None, name="rest")
        client, conn = pair()
        client.sendall(b"x")
        client.close()
        print(conn.recv(5))
        conn.close()
        lost = socket.socket()
        lost.fileno()
    """)
    assert out == "b'x'\n" and err == ""


# -- signals ----------------------------------------------------------------------------------------------------------------


def test_a_signal_ends_a_wait_with_what_its_handler_raises():
    out, _ = run(f"""
        stack = pystack.up(tap=None, name="sig")
        client, conn = pair()
        for wait in (lambda: client.recv(1), lambda: client.sendall(bytes(50_000_000)),
                     lambda: socket.create_server(("127.0.0.1", 0)).accept()):
            threading.Timer(0.2, os.kill, [os.getpid(), {int(signal.SIGINT)}]).start()
            try:
                wait()
            except KeyboardInterrupt:
                print("interrupted")
        print(stack.host.lock.mine(), stack.host.failure)
        stack.close(flush=0)
    """)
    assert out == "interrupted\n" * 3 + "False None\n"
