"""pystack/patching.py: replacements act for code with a stack, and the originals return when the last use ends."""

import copy
import gc
import importlib
import os
import pickle
import select
import socket
import sys
import threading
import time

import pytest

from pystack import patching
from pystack import socket as ours
from pystack.patching import held, hold
from pystack.running import up
from pystack.sim import Network, hub, running
from pystack.sockets import current

assert running  # registers the groups of virtual time


def test_nested_use_ends_with_the_last_block():
    original = socket.socket
    with hold("sockets"):
        assert socket.socket is ours.socket
        with hold("sockets", "time"):
            assert socket.socket is ours.socket and sorted(held()) == ["sockets", "time"]
        assert socket.socket is ours.socket and held() == ["sockets"]
    assert socket.socket is original and held() == []


def test_two_threads_may_end_in_any_order():
    original, entered, leave = socket.socket, threading.Event(), threading.Event()

    def other():
        with hold("sockets"):
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    with hold("sockets"):
        thread.start()
        assert entered.wait(10)
    assert socket.socket is ours.socket  # the other thread still holds it
    leave.set()
    thread.join()
    assert socket.socket is original


def test_an_exception_and_an_unknown_group_leave_nothing():
    original = time.sleep
    with pytest.raises(LookupError), hold("time"):
        raise LookupError
    with pytest.raises(KeyError), hold("time", "no such group"):
        pass
    assert time.sleep is original and held() == []


def test_code_without_a_stack_has_the_originals():
    with hold("sockets", "time", "select", "threads", "random", "asyncio"):
        assert time.monotonic() > 0 and abs(time.time() - time.time()) < 5
        assert socket.gethostbyname("127.0.0.1") == "127.0.0.1"
        assert isinstance(threading.Lock(), type(patching._lock) | type(threading._allocate_lock()))
        thread = threading.Thread(target=time.sleep, args=(0,))
        thread.start()
        thread.join(10)
        assert not thread.is_alive()
        with pytest.raises(OSError, match="no pystack stack is running"):
            socket.socket()
        socket.setdefaulttimeout(7)  # the kernel's, which pystack.socket does not set
        try:
            left, right = socket.socketpair()
        finally:
            socket.setdefaulttimeout(None)
        assert left.gettimeout() == 7
        left.close(), right.close()


def test_names_that_modules_have_imported_are_replaced_and_put_back(tmp_path, monkeypatch):
    (tmp_path / "imported_before.py").write_text("from time import monotonic, sleep\nfrom socket import socket\n")
    (tmp_path / "imported_meanwhile.py").write_text("from time import monotonic, sleep\nfrom socket import socket\n")
    monkeypatch.syspath_prepend(tmp_path)
    before = importlib.import_module("imported_before")
    net = Network(seed=1)
    a = net.host("a")

    async def look():
        meanwhile = importlib.import_module("imported_meanwhile")
        before.sleep(5)
        made = before.socket()
        made.close()
        return before.monotonic(), meanwhile.monotonic(), before.socket is ours.socket is meanwhile.socket

    try:
        assert net.run({a: look}) == {a: (5.0, 5.0, True)}
        for module in (before, sys.modules["imported_meanwhile"]):
            assert module.sleep is time.sleep and module.socket is socket.socket and module.monotonic is time.monotonic
    finally:
        sys.modules.pop("imported_before", None)
        sys.modules.pop("imported_meanwhile", None)


def test_a_class_may_have_a_replaced_function_as_an_attribute():
    """As it may have the original, which is written in C. pyftpdlib waits by `self._poller()`, which is `select.epoll`."""
    net = Network(seed=1)
    a = net.host("a")

    def look():
        class Program:
            clock, poller, random, read = time.monotonic, select.poll, os.urandom, os.read

        program = Program()
        time.sleep(3)
        ends = os.pipe()
        os.write(ends[1], b"x")
        found = program.clock(), program.poller().poll(0), len(program.random(4)), program.read(ends[0], 1)
        assert copy.deepcopy(time.monotonic) is pickle.loads(pickle.dumps(time.monotonic)) is time.monotonic
        os.close(ends[0]), os.close(ends[1])
        return Program, found

    program, found = net.run({a: look})[a]
    assert found == (3.0, [], 4, b"x")
    assert program().clock() > 3  # it keeps the replacement, which does what the original does


def test_a_live_stack_uses_the_same_group():
    with up(tap=None, name="patched"), hold("sockets"):
        with (
            socket.create_server(("127.0.0.1", 8080)) as server,
            socket.create_connection(("127.0.0.1", 8080)) as client,
        ):
            accepted, _ = server.accept()
            with accepted:
                client.sendall(b"over the stack")
                assert accepted.recv(100) == b"over the stack"
                assert type(accepted) is ours.socket
        left, right = socket.socketpair()  # the kernel's; this must not recurse
        assert type(left) is not ours.socket
        left.close(), right.close()
        with socket.socket(socket.AF_UNIX) as local:
            assert type(local) is not ours.socket


def test_a_host_that_is_bound_comes_before_a_live_stack():
    net = Network(seed=1)
    a = net.host("a")
    with up(tap=None, name="live"), hold("sockets"):
        with current.bound(a):
            assert socket.gethostname() == "a"
        assert socket.gethostname() == "live"


def test_what_the_process_has_frozen_stays_frozen_and_nothing_else_does(monkeypatch):
    """Otherwise, every collection after a run would look at the objects that were frozen because they are many and stay."""
    pytest.importorskip("greenlet")
    monkeypatch.setattr(hub, "_process_froze", False)  # tests/conftest.py has frozen objects
    net = Network(seed=1)
    a = net.host("a")
    gc.unfreeze()
    inner = Network(seed=2)
    b = inner.host("b")
    inside = net.run({a: lambda: (inner.run({b: gc.get_freeze_count})[b], gc.get_freeze_count())})[a]
    assert min(inside) > 1000 and gc.get_freeze_count() == 0
    gc.collect()
    gc.freeze()  # as it was, and as tests/conftest.py does it
    frozen = gc.get_freeze_count()
    during = net.run({a: gc.get_freeze_count})[a]
    # Some of these objects may die, but they are neither unfrozen, nor are there more.
    assert frozen / 2 < gc.get_freeze_count() <= during <= frozen


def test_one_thread_at_a_time_runs_programs_and_runs_may_be_nested():
    pytest.importorskip("greenlet")
    inner, outer = Network(seed=1), Network(seed=2)
    a, b = inner.host("a"), outer.host("b")
    errors, inside = [], threading.Event()
    go = threading.Lock()  # made outside: it waits in real time, also for code on a host
    go.acquire()

    def nested():
        return inner.run({a: name})[a], socket.gethostname(), gc.isenabled()

    async def name():
        return socket.gethostname()

    async def in_a_coroutine():
        inner.run({a: name})

    with pytest.raises(RuntimeError, match="inside a coroutine"):
        outer.run({b: in_a_coroutine})
    assert outer.run({b: nested}) == {b: ("a", "b", False)} and gc.isenabled()

    def other():
        inside.wait(10)
        for net, host in ((inner, a), (outer, b)):
            try:
                net.run({host: name})
            except RuntimeError as error:
                errors.append(str(error))
        go.release()

    thread = threading.Thread(target=other)
    thread.start()

    async def hold_on():
        inside.set()
        go.acquire(timeout=10)

    outer.run({b: hold_on})
    thread.join()
    assert len(errors) == 2 and all("another thread runs programs" in error for error in errors)
    assert inner.run({a: name}) == {a: "a"}
