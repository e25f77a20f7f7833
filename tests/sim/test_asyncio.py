"""asyncio programs in virtual time (pystack/sim/loop.py, running.py)."""

import asyncio
import functools
import gc
import hashlib
import os
import socket
import ssl
import subprocess
import sys
import time
import warnings
from contextvars import Context, ContextVar, copy_context
from pathlib import Path

import pytest

from pystack.sim import MS, Network, S, SimDeadlock, SimError
from pystack.trace.replay import replay

ROOT = Path(__file__).resolve().parents[2]


def pair(seed=7, **settings):
    net = Network(seed=seed)
    a, b = net.host("server"), net.host("client")
    net.link(a, b, addrs=("10.0.0.1/24", "10.0.0.2/24"), **{"delay": 10 * MS, **settings})
    return net, a, b


async def echo(reader, writer):
    while data := await reader.read(4096):
        writer.write(data)
        await writer.drain()
    writer.close()
    await writer.wait_closed()


async def serve():
    server = await asyncio.start_server(echo, "0.0.0.0", 7)
    async with server:
        await server.serve_forever()


async def ask(what=b"hello", name="server"):
    await asyncio.sleep(0.001)  # the server listens
    reader, writer = await asyncio.open_connection(name, 7)
    writer.write(what)
    answer = await reader.readexactly(len(what))
    writer.close()
    await writer.wait_closed()
    return answer, writer.get_extra_info("peername")


def test_streams_run_on_the_hosts_and_take_virtual_time():
    net, a, b = pair()
    began = time.monotonic()
    results = net.run({b: ask}, background={a: serve})
    assert results == {b: (b"hello", ("10.0.0.1", 7))}
    assert (
        net.now == 61 * MS
    )  # the first sleep (1 ms), and three round trips of 20 ms: ARP, the handshake, and the echo
    # A day of virtual time passes in a moment.
    assert net.run({b: sleep_long}) == {b: "slept"} and time.monotonic() - began < 60


async def sleep_long():
    await asyncio.sleep(80_000)
    return "slept"


def test_results_are_by_host_and_names_of_hosts_are_keys_too():
    net, a, b = pair()

    async def who():
        return socket.gethostname()

    assert net.run({"server": who, "client": [who, who]}) == {"server": "server", "client": ["client", "client"]}
    assert socket.gethostname() not in ("server", "client")


def test_the_clocks_are_the_networks():
    net, a, b = pair()

    async def look():
        await asyncio.sleep(1.5)
        loop = asyncio.get_running_loop()
        return loop.time(), time.monotonic(), time.time_ns(), time.gmtime().tm_year

    loop_time, monotonic, wall, year = net.run({b: look})[b]
    assert loop_time == monotonic == 1.5 and wall == net.epoch + 1_500_000_000 and year == 2026
    assert abs(time.time() - wall / 1e9) > 1000

    async def look_in_other_ways():
        return (
            time.asctime(), time.asctime((2000, 1, 2, 3, 4, 5, 6, 2, 0)), time.clock_gettime(time.CLOCK_MONOTONIC),
            time.clock_gettime_ns(time.CLOCK_REALTIME), time.clock_gettime(time.CLOCK_PROCESS_CPUTIME_ID) > 0,
        )  # fmt: skip

    assert net.run({b: look_in_other_ways})[b] == (
        time.asctime(time.localtime(wall / 1e9)), "Sun Jan  2 03:04:05 2000", 1.5, wall, True,
    )  # fmt: skip


def test_datagram_endpoints_use_the_stack():
    net, a, b = pair()

    class Server(asyncio.DatagramProtocol):
        def connection_made(self, transport):
            self.transport = transport

        def datagram_received(self, data, addr):
            self.transport.sendto(data.upper(), addr)

    class Client(asyncio.DatagramProtocol):
        def __init__(self):
            self.got = asyncio.get_running_loop().create_future()

        def datagram_received(self, data, addr):
            self.got.set_result((data, addr))

    async def server():
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(Server, local_addr=("0.0.0.0", 53))
        try:
            await asyncio.sleep(3600)
        finally:
            transport.close()

    async def client():
        await asyncio.sleep(0.1)
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_datagram_endpoint(Client, remote_addr=("server", 53))
        transport.sendto(b"question")
        got = await protocol.got
        transport.close()
        return got

    assert net.run({b: client}, background={a: server}) == {b: (b"QUESTION", ("10.0.0.1", 53))}


def test_calls_that_virtual_time_cannot_serve_raise_errors_at_once():
    net, a, b = pair()

    async def program():
        loop = asyncio.get_running_loop()
        for call, text in (
            (asyncio.create_subprocess_exec("true"), "processes"),
            (asyncio.create_subprocess_shell("true"), "processes"),
            (asyncio.open_unix_connection("/nowhere"), "Unix sockets"),
            (asyncio.start_unix_server(echo, "/nowhere"), "Unix sockets"),
            (loop.connect_read_pipe(asyncio.Protocol, sys.stdin), "pipes"),
        ):
            with pytest.raises(OSError, match=f"{text} are not available in virtual time"):
                await call
        with pytest.raises(OSError, match="no sockets of address family AF_INET6"):
            socket.socket(socket.AF_INET6)
        with pytest.raises(OSError):
            await asyncio.open_connection("::1", 80)
        left, right = os.pipe()
        with pytest.raises(ValueError, match="virtual time cannot wait for files, pipes and Unix sockets"):
            loop.add_reader(left, print)
        os.close(left), os.close(right)
        with pytest.raises(socket.gaierror):
            await asyncio.open_connection("elsewhere", 80)
        return "done"

    assert net.run({b: program}) == {b: "done"}


def test_a_deadlock_names_the_tasks_their_hosts_and_what_they_wait_for():
    net, a, b = pair()

    async def server():
        async def keep(reader, writer):
            await asyncio.Event().wait()
            writer.close()

        listener = await asyncio.start_server(keep, "0.0.0.0", 7)
        async with listener:
            await asyncio.Event().wait()

    async def client():
        await asyncio.sleep(0.001)
        reader, writer = await asyncio.open_connection("server", 7)
        try:
            await reader.readexactly(5)
        finally:
            writer.transport.abort()

    with pytest.raises(SimDeadlock) as caught:
        net.run({a: server, b: client})
    text = str(caught.value)
    assert "nothing can ever happen again" in text
    line = next(line for line in text.splitlines() if "task 'client'" in line)
    assert "host 'client'" in line and "in StreamReader.readexactly at" in line and "test_asyncio.py:" in line
    assert any("host 'server'" in line and "in Event.wait" in line for line in text.splitlines())
    assert "waits for reading 10.0.0.2:" in text and "-10.0.0.1:7 ESTABLISHED" in text
    assert "waits for reading 0.0.0.0:7 LISTEN" in text and "no host" not in text


def test_the_limit_of_virtual_time_names_the_programs():
    net, a, b = pair()

    async def forever():
        while True:
            await asyncio.sleep(10)

    with pytest.raises(SimError, match="have not ended after 100 s(.|\n)*task 'forever' waits in sleep"):
        net.run({b: forever}, limit=100 * S)
    assert net.now <= 100 * S
    assert net.run({b: sleep_long}) == {b: "slept"}  # the network goes on


def test_a_loop_that_lets_no_time_pass_is_noticed(monkeypatch):
    monkeypatch.setattr("pystack.sim.loop.SPINS", 500)
    net, a, b = pair()

    async def spin():
        while True:
            await asyncio.sleep(0)

    with pytest.raises(SimError, match="time cannot pass while code never waits .*'spin'"):
        net.run({b: spin})


def test_an_exception_ends_the_run():
    net, a, b = pair()

    async def fail():
        await asyncio.sleep(1)
        raise LookupError("a program's own")

    async def forever():
        await asyncio.sleep(10_000)

    with pytest.raises(LookupError, match="a program's own"):
        net.run({a: forever, b: fail})
    assert net.now == S
    with pytest.raises(LookupError):
        net.run({a: forever}, background={b: fail})
    with pytest.raises(TypeError, match="a program is a function"):
        net.run({a: 5})


def test_wrong_programs_and_hosts_are_refused():
    """Without these errors, a run would do nothing, or would use another network."""
    pytest.importorskip("greenlet")
    net, a, b = pair()
    _, other, _ = pair()

    async def works(number=5):
        await asyncio.sleep(1)
        return number

    class Works:
        async def __call__(self):
            return await works(6)

    def generator():
        yield net.now

    async def async_generator():
        yield net.now

    assert net.run({a: functools.partial(works, 7), b: Works()}) == {a: 7, b: 6}
    for wrong in (lambda: works(), generator, async_generator):
        with pytest.raises(TypeError, match="which nobody runs: a program is a coroutine function"):
            net.run({a: wrong})
    for wrong in (works, 5.0, [works]):
        with pytest.raises(TypeError, match="{host: program}"):
            net.run(wrong)
        with pytest.raises(TypeError, match="{host: program}"):
            net.run({a: works}, background=wrong)
    for wrong in ("nobody", 5, None, other):
        with pytest.raises(ValueError, match="is no host of this network"):
            net.run({wrong: works})

        with pytest.raises(ValueError, match="is no host of this network"):
            net.loop_factory(wrong)
    with asyncio.Runner(loop_factory=net.loop_factory("client")) as runner:
        assert runner.run(works(8)) == 8

    def again():
        with pytest.raises(RuntimeError, match="'again' is part of a run of this network"):
            net.run({b: works})
        return "still here"

    assert net.run({a: again}) == {a: "still here"}


def test_nothing_stays_patched():
    import asyncio.events
    import queue
    import random
    import select
    import selectors
    import threading

    def state():
        found = []
        for module in (socket, time, os, random, select, selectors, threading, queue, asyncio, asyncio.events):
            found += [
                (module.__name__, name, id(value)) for name, value in sorted(vars(module).items()) if callable(value)
            ]
        found += [(name, id(getattr(threading.Thread, name))) for name in ("start", "join", "is_alive")]
        return found, random.getstate()

    net, a, b = pair()
    before = state()
    seen = []

    async def look():
        import http.server as fresh  # a module that may be imported for the first time during the run

        seen.append(state()[0] != before[0])
        return fresh.time.time()

    net.run({b: look})
    assert seen == [True] and state() == before

    async def fail():
        raise LookupError

    with pytest.raises(LookupError):
        net.run({b: fail})
    with pytest.raises(SimDeadlock):
        net.run({b: wait_for_nothing})
    assert state() == before


async def wait_for_nothing():
    await asyncio.Event().wait()


def test_a_loop_factory_for_asyncios_runner():
    net, a, b = pair()

    async def both():
        server = await asyncio.start_server(echo, "127.0.0.1", 7)
        async with server:
            return await ask(name="localhost"), socket.gethostname()

    with asyncio.Runner(loop_factory=net.loop_factory(a)) as runner:
        assert runner.run(both()) == ((b"hello", ("127.0.0.1", 7)), "server")


def test_a_context_that_the_program_gives_to_tasks_is_theirs():
    """Also an empty one, and one that a task passes on to the next while it runs in it."""
    net, a, b = pair()
    number = ContextVar("number", default=0)

    async def count():
        number.set(number.get() + 1)
        return number.get(), socket.gethostname()

    async def through(context):
        return await asyncio.create_task(count(), context=context)

    async def client():
        context = copy_context()
        return await asyncio.create_task(through(context), context=context)

    def in_an_empty_context():
        with asyncio.Runner(loop_factory=net.loop_factory(a)) as runner:
            return [runner.run(count(), context=Context()), runner.run(count()), runner.run(count())]

    assert Context().run(in_an_empty_context) == [(1, "server"), (1, "server"), (2, "server")]
    assert net.run({b: client}) == {b: (1, "client")}


def race(schedule):
    """The order in which ready tasks run."""
    net, a, b = pair()
    order = []

    async def main():
        async def step(number):
            for _ in range(3):
                order.append(number)
                await asyncio.sleep(0)

        await asyncio.gather(*(step(number) for number in range(5)))

    net.run({b: main}, schedule=schedule)
    return order


def test_ready_tasks_are_shuffled_by_seed_and_replayed():
    assert race(None) == list(range(5)) * 3
    orders = [tuple(race(seed)) for seed in range(10)]
    assert orders == [tuple(race(seed)) for seed in range(10)]
    assert len(set(orders)) > 5
    assert all(sorted(order[:5]) == list(range(5)) for order in orders)  # fair: each is run once in each round


def test_a_lost_update_is_found_by_shuffling():
    """Two tasks race for one variable. The order in which asyncio runs them hides the error."""

    def run(schedule):
        net, a, b = pair()
        account = {"money": 100}

        async def main():
            go = asyncio.Event()

            async def reader():
                await go.wait()
                seen = account["money"]
                if seen == 100:
                    account["reader saw"] = seen

            async def writer():
                await go.wait()
                account["money"] = 0

            tasks = [asyncio.ensure_future(writer()), asyncio.ensure_future(reader())]
            await asyncio.sleep(0)
            go.set()
            await asyncio.gather(*tasks)

        net.run({b: main}, schedule=schedule)
        return "reader saw" in account

    assert run(None) is False
    assert {run(seed) for seed in range(20)} == {True, False}


def test_sets_of_tasks_and_of_futures_have_the_same_order_in_each_run():
    """The objects of the first run still exist, so those of the second run have other addresses."""
    kept = []

    def run():
        net, a, b = pair()

        async def step(number):
            return number

        async def main():
            done, _ = await asyncio.wait([asyncio.ensure_future(step(number)) for number in range(50)])
            futures = [asyncio.get_running_loop().create_future() for _ in range(50)]
            kept.extend([done, futures])
            return [task.result() for task in done], [futures.index(future) for future in set(futures)]

        return net.run({b: main})[b]

    assert run() == run()


HTTP = """
import asyncio, hashlib, sys
import aiohttp
from aiohttp import web
from pystack.sim import MS, Network

net = Network(seed=int(sys.argv[1]))
a, b = net.host("server"), net.host("client")
net.link(a, b, addrs=("10.0.0.1/24", "10.0.0.2/24"), delay=100 * MS, loss=0.02)
frames = hashlib.sha256()
a.port().taps.append(lambda time, direction, frame: frames.update(time.to_bytes(8, "big") + bytes([direction]) + frame))

async def server():
    async def hello(request):
        return web.Response(text="hello " + request.query["n"])
    app = web.Application()
    app.router.add_get("/", hello)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "0.0.0.0", 80).start()
    await asyncio.Event().wait()

async def client():
    await asyncio.sleep(0.1)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=10)) as session:
        async def one(number):
            async with session.get("http://server/", params={"n": str(number)}) as response:
                assert await response.text() == f"hello {number}"
        async with asyncio.TaskGroup() as group:
            for number in range(int(sys.argv[2])):
                group.create_task(one(number))

net.run({b: client}, background={a: server})
print(net.now, net.links["server-client"].ab.stats.dropped(), frames.hexdigest())
"""


def in_process(program, *args, hash_seed=0):
    env = {**os.environ, "PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", program, *map(str, args)]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_aiohttp_gives_the_same_frames_in_each_process():
    """1,000 requests over a link with 100 ms and 2 % loss give the same frames at the same times, whatever the hash seed is."""
    pytest.importorskip("aiohttp")
    from pystack._build import pure

    requests = 100 if pure() else 1000
    runs = [in_process(HTTP, 7, requests, hash_seed=seed) for seed in (0, 1, 4711)]
    assert runs[0] == runs[1] == runs[2] and int(runs[0][1]) > 0
    assert int(runs[0][0]) > (requests // 10) * 200 * MS
    assert in_process(HTTP, 8, requests)[2] != runs[0][2]  # control: the seed decides


HTTPS = """
import asyncio, hashlib, ssl, sys
import aiohttp
from aiohttp import web
from pystack.sim import MS, Network

seed, requests, files = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
net = Network(seed=seed)
a, b = net.host("server"), net.host("client")
net.link(a, b, addrs=("10.0.0.1/24", "10.0.0.2/24"), delay=100 * MS, loss=0.02)
ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
ours.load_cert_chain(files + "/server.pem")
theirs = ssl.create_default_context(cafile=files + "/ca.pem")
application, sizes, frames = hashlib.sha256(), hashlib.sha256(), hashlib.sha256()

def tap(time, direction, frame):
    sizes.update(b"%d %d %d," % (time, direction, len(frame)))
    frames.update(frame)
a.port().taps.append(tap)

def seen(side, name, headers, body):
    text = "%.9f %s %s %s " % (asyncio.get_running_loop().time(), side, name, sorted(headers.items()))
    application.update(text.encode() + body)

async def server():
    async def hello(request):
        body = await request.read()
        seen("server", request.path_qs, request.headers, body)
        return web.Response(body=b"hello " + body)
    app = web.Application()
    app.router.add_post("/", hello)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "0.0.0.0", 443, ssl_context=ours).start()
    await asyncio.Event().wait()

async def client():
    await asyncio.sleep(0.1)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=10, ssl=theirs)) as session:
        async def one(number):
            body = b"%d," % number * 50
            async with session.post("https://server/", params={"n": str(number)}, data=body) as response:
                answer = await response.read()
                assert answer == b"hello " + body
                seen("client", str(number), response.headers, answer)
        async with asyncio.TaskGroup() as group:
            for number in range(requests):
                group.create_task(one(number))

net.run({b: client}, background={a: server})
lost = net.links["server-client"].ab.stats.dropped()
print(net.now, lost, application.hexdigest(), sizes.hexdigest(), frames.hexdigest())
"""


def test_aiohttp_with_tls_gives_the_same_application_bytes_in_each_process(tmp_path):
    """So do the sizes and the times of all frames. Their bytes differ, because OpenSSL has random numbers of its own."""
    pytest.importorskip("aiohttp")
    trustme = pytest.importorskip("trustme")
    from pystack._build import pure

    authority = trustme.CA(key_type=trustme.KeyType.RSA)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    certificate = authority.issue_cert("server", key_type=trustme.KeyType.RSA)
    certificate.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "server.pem"))
    requests = 100 if pure() else 1000
    runs = [in_process(HTTPS, 7, requests, tmp_path, hash_seed=seed) for seed in (0, 1, 4711)]
    assert runs[0][:4] == runs[1][:4] == runs[2][:4] and int(runs[0][1]) > 0
    assert len({run[4] for run in runs}) == 3  # the bytes on the wire
    assert int(runs[0][0]) > (requests // 10) * 200 * MS


def test_tls_gives_the_same_application_bytes():
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA(key_type=trustme.KeyType.RSA)
    certificate = authority.issue_cert("server", key_type=trustme.KeyType.RSA)
    ours, theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    certificate.configure_cert(ours)
    authority.configure_trust(theirs)

    def run():
        net, a, b = pair(loss=0.02)
        got = hashlib.sha256()

        async def server():
            listener = await asyncio.start_server(echo, "0.0.0.0", 7, ssl=ours)
            async with listener:
                await listener.serve_forever()

        async def client():
            await asyncio.sleep(0.001)
            reader, writer = await asyncio.open_connection("server", 7, ssl=theirs)
            assert writer.get_extra_info("ssl_object").version() == "TLSv1.3"
            data = bytes(range(256)) * 1000
            writer.write(data)
            for _ in range(1000):
                got.update(await reader.readexactly(256))
            writer.close()
            return len(data)

        assert net.run({b: client}, background={a: server}) == {b: 256_000}
        return got.hexdigest(), net.now

    first, second = run(), run()
    assert first[0] == hashlib.sha256(bytes(range(256)) * 1000).hexdigest()
    assert first == second  # RSA: sizes and times are the same, too


def frames_hash(net, host):
    digest = hashlib.sha256()
    host.port().taps.append(lambda now, direction, frame: digest.update(b"%d %d %b" % (now, direction, frame)))
    return digest


def test_garbage_is_collected_at_fixed_virtual_times():
    """A finalizer closes a socket, which sends a FIN. The collector's thresholds must not decide when."""

    def run(threshold):
        gc.set_threshold(threshold)
        net, a, b = pair()
        digest = frames_hash(net, a)

        async def forget():
            await asyncio.sleep(0.1)
            for _ in range(30):
                sock = socket.create_connection(("server", 7))
                cycle = [sock]
                cycle.append(cycle)
                del sock, cycle
                await asyncio.sleep(1)

        net.run({b: forget}, background={a: serve})
        return digest.hexdigest(), b.counters.TcpActiveOpens

    before = gc.get_threshold()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            assert run(1) == run(100_000)
    finally:
        gc.set_threshold(*before)
    assert gc.isenabled()


def test_a_run_is_recorded_and_replayed(tmp_path):
    path = str(tmp_path / "run.pytrace")
    with Network(seed=3) as net:
        net.record(path)
        a, b = net.host("server"), net.host("client")
        net.link(a, b, addrs=("10.0.0.1/24", "10.0.0.2/24"), delay=10 * MS)
        net.run({b: ask}, background={a: serve})
    assert replay(path).frames > 8


def test_uvicorn_and_files_unmodified(tmp_path):
    uvicorn = pytest.importorskip("uvicorn")
    web = pytest.importorskip("aiohttp.web")
    aiohttp = pytest.importorskip("aiohttp")
    (tmp_path / "file").write_bytes(bytes(range(256)) * 1000)

    async def app(scope, receive, send):
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    async def asgi():
        await uvicorn.Server(uvicorn.Config(app, host="0.0.0.0", port=8000, lifespan="off", log_config=None)).serve()

    async def files():
        runner = web.AppRunner(web.Application())
        runner.app.router.add_get("/file", send_file)
        await runner.setup()
        await web.TCPSite(runner, "0.0.0.0", 80).start()
        await asyncio.Event().wait()

    async def send_file(request):
        return web.FileResponse(tmp_path / "file")

    async def client():
        await asyncio.sleep(0.1)
        async with aiohttp.ClientSession() as session:
            async with session.get("http://server:8000/") as response:
                first = await response.text()
            async with session.get("http://server/file") as response:
                return first, len(await response.read())

    net, a, b = pair()
    assert net.run({b: client}, background={a: [asgi, files]}) == {b: ("ok", 256_000)}


def test_loop_sendfile_needs_no_fallback(tmp_path):
    """As on a kernel socket: from the offset on, so many bytes, and the file's position is behind them. A pipe has no fallback here."""
    data = bytes(range(256)) * 3000
    (tmp_path / "file").write_bytes(data)

    async def serve_file():
        async def send(reader, writer):
            loop = asyncio.get_running_loop()
            with (tmp_path / "file").open("rb") as file:
                sent = await loop.sendfile(writer.transport, file, 1000, 500_000, fallback=False)
                assert (sent, file.tell()) == (500_000, 501_000)
            with pytest.raises(asyncio.SendfileNotAvailableError, match="not a regular file"):
                await loop.sendfile(writer.transport, object(), fallback=False)
            writer.close()

        async with await asyncio.start_server(send, "0.0.0.0", 7) as server:
            await server.serve_forever()

    async def client():
        await asyncio.sleep(0.1)
        reader, writer = await asyncio.open_connection("server", 7)
        got = await reader.read()
        writer.close()
        return got == data[1000:501_000]

    net, a, b = pair()
    assert net.run({b: client}, background={a: serve_file}) == {b: True}


def test_a_transport_that_has_sent_its_buffer_and_ended_is_no_error():
    """asyncio takes the loop from it, and a run that ends must not abort it."""
    kept = []

    async def client():
        await asyncio.sleep(0.1)
        reader, writer = await asyncio.open_connection("server", 7)
        kept.append(writer.transport)
        writer.write(bytes(1_000_000))  # more than the socket takes, so the transport closes later
        writer.close()
        await writer.wait_closed()

    async def discard():
        async def read(reader, writer):
            await reader.read()
            writer.close()

        async with await asyncio.start_server(read, "0.0.0.0", 7) as listener:
            await listener.serve_forever()

    net, a, b = pair()
    assert net.run({b: client}, background={a: discard}) == {b: None}
    assert kept[0].is_closing()


@pytest.mark.once
def test_a_thousand_hosts_in_one_process():
    net = Network(seed=5)
    router = net.host("router", ip_forward=True)
    hosts = []
    for number in range(1000):
        host = net.host(f"h{number}")
        subnet = f"10.{number >> 8}.{number & 255}"
        net.link(host, router, delay=MS, addrs=(f"{subnet}.2/24", f"{subnet}.1/24"))
        host.route("default", via=f"{subnet}.1")
        hosts.append(host)

    def client(number):
        async def run():
            await asyncio.sleep(0.01)
            answer, peer = await ask(b"hello from %d" % number, f"h{(number + 1) % 1000}")
            return answer

        return run

    results = net.run(
        {host: client(number) for number, host in enumerate(hosts)}, background=dict.fromkeys(hosts, serve)
    )
    assert results == {host: b"hello from %d" % number for number, host in enumerate(hosts)}
    assert net.now < 2 * S
