"""What the tests of real programs stand on: a namespace with the kernel's programs, a stack behind a TAP in it, and simulated hosts."""

import asyncio
import contextlib
import inspect
import multiprocessing
import os
import signal
import sys
import time
import traceback
from functools import partial

import pystack
from pystack import aio
from pystack.control import views
from pystack.kernel import netns
from pystack.kernel.netns import Namespace
from pystack.sim import MS, Network
from tests.kernel.conftest import KERNEL, STACK

#: seconds after which a program that has not ended has failed
LIMIT = 60
APPS = ("http1", "web", "stores", "names", "shells", "files", "quic", "small")
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.programs.real.preload"])


def make_files(folder):
    """Make the certificates and keys that the programs use. Returns the folder's name."""
    import trustme
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    authority = trustme.CA(key_type=trustme.KeyType.RSA)
    leaf = authority.issue_cert("server", KERNEL, STACK, key_type=trustme.KeyType.RSA)
    authority.cert_pem.write_to_path(f"{folder}/ca.pem")
    leaf.private_key_and_cert_chain_pem.write_to_path(f"{folder}/server.pem")
    for name in ("ssh_host", "ssh_client"):
        key = Ed25519PrivateKey.generate()
        text = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.OpenSSH, form.NoEncryption())
        path = os.open(f"{folder}/{name}", os.O_CREAT | os.O_WRONLY, 0o600)
        os.write(path, text), os.close(path)
        with open(f"{folder}/{name}.pub", "wb") as file:
            file.write(key.public_key().public_bytes(form.Encoding.OpenSSH, form.PublicFormat.OpenSSH) + b"\n")
    with open(f"{folder}/file", "wb") as file:
        file.write(bytes(range(256)) * 600)
    return str(folder)


def serve(server, files):
    """Run a server until the process gets SIGTERM."""
    if inspect.iscoroutinefunction(server):
        asyncio.run(server(files))
    else:
        with server(files):
            time.sleep(LIMIT)


def run(program):
    """Run a program on the kernel, whether it is a coroutine function or a plain one."""
    if inspect.iscoroutinefunction(program.func):
        asyncio.run(program())
    else:
        program()


def _child(space, pipe, program):
    """The main function of a process on the kernel's side."""
    os.setsid()  # its own children end with it
    signal.signal(signal.SIGTERM, lambda *args: sys.exit(0))
    try:
        with Namespace.open(space) as there:
            netns._libc("setns", there.fd, netns.CLONE_NEWNET)
        pipe.send("started")
        run(program)
        pipe.send(None)
    except Exception:
        pipe.send(traceback.format_exc())


class Kernel:
    """A process in the namespace, on the kernel's sockets."""

    def __init__(self, space, program):
        self.pipe, theirs = _context.Pipe()
        path = f"/proc/{os.getpid()}/fd/{space.fd}"
        self.process = _context.Process(target=_child, args=(path, theirs, program))
        self.process.start()
        theirs.close()
        assert self._answer() == "started"

    def _answer(self):
        assert self.pipe.poll(LIMIT), "the program on the kernel's side has not ended"
        return self.pipe.recv()

    def result(self):
        """Wait for its end, and fail as it failed."""
        failure = self._answer()
        assert failure is None, failure

    def close(self):
        """End it, and all that it has started."""
        if self.process.is_alive():
            os.kill(self.process.pid, signal.SIGTERM)
            self.process.join(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.join(10)
        self.process.close()
        self.pipe.close()


class Ground:
    """The namespace and the stack of one test. `net` is tests.kernel.conftest.Net."""

    def __init__(self, net, files):
        self.net = net
        self.files = files
        self._undo = contextlib.ExitStack()

    def there(self, program):
        """Start a program on the kernel's side."""
        child = Kernel(self.net.space, program)
        self._undo.callback(child.close)
        return child

    def serve_there(self, server, port):
        """Start a server on the kernel's side, and wait until its port is open."""
        child = self.there(partial(serve, server, self.files))
        self._until(lambda: self._kernel_has(port) or child.pipe.poll(0) and child.result())

    def _kernel_has(self, port):
        lines = self.net.space.call(_sockets_of_the_kernel)
        return any(line[1].endswith(f":{port:04X}") and line[3] in ("0A", "07") for line in lines)

    def _stack_has(self, port):
        host = self.net.running.host
        with host.lock:
            rows = views.sockets(host.stack)
        return any(row["lport"] == port and row["state"] in ("LISTEN", "UNCONN") for row in rows)

    def _until(self, condition):
        limit = time.monotonic() + LIMIT
        while not condition():
            assert time.monotonic() < limit, "the server does not listen"
            time.sleep(0.01)

    def run_here(self, client):
        """Run a client on the stack, whose server is the kernel's."""
        if inspect.iscoroutinefunction(client):
            aio.run(asyncio.wait_for(client(KERNEL, self.files), LIMIT))
        else:
            with pystack.patch():
                client(KERNEL, self.files)

    def serve_here(self, server, port, clients):
        """Run a server on the stack while clients on the kernel's side ask it."""

        def ask():
            self._until(lambda: self._stack_has(port))
            for client in clients:
                child = self.there(partial(client, STACK, self.files))
                child.result()

        if inspect.iscoroutinefunction(server):
            aio.run(asyncio.wait_for(_serving(server(self.files), ask), LIMIT))
        else:
            with pystack.patch(), server(self.files):
                ask()

    def close(self):
        """End all processes."""
        self._undo.close()


async def _serving(server, ask):
    """Run a server until `ask`, which has its own thread, is over."""
    task = asyncio.ensure_future(server)
    asking = asyncio.ensure_future(asyncio.to_thread(ask))
    await asyncio.wait([task, asking], return_when=asyncio.FIRST_COMPLETED)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await asking


def _sockets_of_the_kernel():
    lines = []
    for kind in ("tcp", "udp"):
        with open(f"/proc/thread-self/net/{kind}") as file:
            lines += [line.split() for line in file][1:]
    return lines


def simulate(server, clients, files, **link):
    """Run a server and clients on two simulated hosts. Returns the network after the run."""
    net = Network(seed=5)
    a, b = net.host("server"), net.host("client")
    net.link(a, b, addrs=("10.0.0.1/24", "10.0.0.2/24"), **{"delay": 20 * MS, "loss": 0.01, **link})
    over = []

    async def async_server():
        task = asyncio.ensure_future(server(files))
        while len(over) < len(clients) and not task.done():
            await asyncio.sleep(1)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    def blocking_server():
        with server(files):
            while len(over) < len(clients):
                time.sleep(1)

    async def async_client(client):
        await asyncio.sleep(1)  # the server needs a moment to start
        try:
            await client("server", files)
        finally:
            over.append(client)

    def blocking_client(client):
        time.sleep(1)
        try:
            client("server", files)
        finally:
            over.append(client)

    programs = [
        partial(async_client if inspect.iscoroutinefunction(client) else blocking_client, client) for client in clients
    ]
    net.run({b: programs, a: async_server if inspect.iscoroutinefunction(server) else blocking_server})
    return net
