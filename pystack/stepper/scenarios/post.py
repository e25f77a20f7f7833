"""The anatomy of a POST: a cold client sends 64,000 bytes through a resolver, TLS 1.3 and a proxy to two servers and a database.

docs/explanation/anatomy-of-a-post.md explains the run, and compares it with the variants, each of which changes one thing. It needs dnspython and
greenlet, as dns-recursion does.
"""

import asyncio
import socket
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from pystack.sim.network import MS, US, Network, S, SimHost
from pystack.stepper.scenarios import tlsrecords
from pystack.stepper.scenarios.base import SCENARIOS, Scenario, kept, pattern, scenario
from pystack.stepper.timeline import Timeline

if TYPE_CHECKING:
    from pystack.stepper.timing import Path

NAME = "shop.test"
ROOT = "@ 3600 SOA a.root. h 1 3600 600 86400 60\n@ 86400 NS a.root.\na.root. 86400 A 198.51.100.53\nshop.test. 300 A 203.0.113.10\n"
RESOLVER, ROOT_SERVER, PROXY = "192.0.2.53", "198.51.100.53", "203.0.113.10"
LOGIN, SHOP, DATABASE = "10.0.0.3", "10.0.0.4", "10.0.0.5"
BODY = pattern(64_000)
HEAD = f"POST /photos HTTP/1.1\r\nHost: {NAME}\r\nCookie: session=0123456789abcdef\r\nContent-Length: {len(BODY)}\r\n\r\n".encode()
STORED = pattern(1_100)
ANSWER = b"HTTP/1.1 201 Created\r\nLocation: /photos/17\r\nContent-Length: 1100\r\n\r\n" + STORED
ASK, GOOD = b"cookie 0123456789abcdef\r\n".ljust(300), b"good".ljust(120)
#: bytes of a statement to the database and of its result
STATEMENT, RESULT = 160, 60
MSG_FASTOPEN, TCP_FASTOPEN = 0x20000000, 23
#: what the programs need to compute, in seconds: keys, the check of the certificates, the signature, a cookie, a photo, a row, a disk
KEYS, CHECK, SIGN, COOKIE, PHOTO, ROW, DISK = 0.0002, 0.0008, 0.0005, 0.0003, 0.004, 0.0004, 0.003


class PostPlan(NamedTuple):
    """One way to do it: what differs from the run "as it is".

    known         the client's cache has the address
    again         the connection exists already: the request is the second one on it
    resumed       the client has a ticket of the server (RFC 8446 2.2)
    fast_open     the client's first message is in the SYN (RFC 7413), and needs no cookie, as if the client had one
    one_write     the client writes head and body at once, with TCP_NODELAY
    loss          the share of lost frames between the client and the proxy
    near          the proxy is near the client, and the servers are far from the proxy
    pool          the shop keeps a connection to the database
    streaming     the proxy passes the body on as it comes
    settings      of the client's stack
    """

    known: bool = False
    again: bool = False
    resumed: bool = False
    fast_open: bool = False
    one_write: bool = False
    loss: float = 0.01
    near: bool = False
    pool: bool = False
    streaming: bool = False
    settings: "dict[str, Any] | None" = None


#: name -> (plan, what it changes): the rows of the table in the docs
VARIANTS: dict[str, tuple[PostPlan, str]] = {
    "keep-alive": (PostPlan(again=True), "the second request on the same connection"),
    "resumption": (PostPlan(resumed=True), "TLS resumption: the client has a ticket"),
    "fast-open": (PostPlan(fast_open=True), "TCP Fast Open: the first message of TLS is in the SYN"),
    "one-write": (PostPlan(one_write=True), "one write, and TCP_NODELAY"),
    "large-window": (PostPlan(settings={"tcp_init_cwnd": 50}), "an initial window of 50 segments"),
    "bbr": (PostPlan(settings={"tcp_congestion": "bbr"}), "BBR instead of Reno on the client"),
    "no-loss": (PostPlan(loss=0.0), "nothing is lost"),
    "near-proxy": (PostPlan(near=True), "the proxy is 10 ms from the client, and the servers 31 ms from the proxy"),
    "warm-dns": (PostPlan(known=True), "the client knows the address"),
    "pool": (PostPlan(pool=True), "the shop keeps its connection to the database"),
    "streaming": (PostPlan(streaming=True), "the proxy passes the body on as it comes"),
}


#: when the request begins if something came before it, in seconds
LATER = 10


# -- the network -----------------------------------------------------------------------------------------------------


def build(net: Network, plan: PostPlan) -> dict[str, SimHost]:
    """Return the hosts by their names: 40 ms between client and proxy and back, and 1 ms from each server to the proxy or another server and back."""
    opening: tuple[dict[str, Any], dict[str, Any]] = (
        ({"tcp_fastopen": 0x5}, {"tcp_fastopen": 0x202}) if plan.fast_open else ({}, {})
    )
    client = net.host("client", dns=RESOLVER, **opening[0], **(plan.settings or {}))
    gateway, resolver, root = net.router("gateway"), net.host("resolver"), net.host("root")
    proxy, lan = net.host("proxy", **opening[1]), net.switch("lan")
    # from gateway to proxy, and from proxy to servers, in us
    outside, inside = (0, 15_250) if plan.near else (15_000, 250)
    net.link(gateway, resolver, delay=1 * MS, addrs=("192.0.2.1/24", f"{RESOLVER}/24"))
    net.link(resolver, root, delay=10 * MS, addrs=("198.51.100.1/24", f"{ROOT_SERVER}/24"))
    fast: dict[str, Any] = {"rate": 1_000_000_000}
    ends = "203.0.113.1/24", f"{PROXY}/24"
    net.link(gateway, proxy, name="wan", delay=outside * US, loss=plan.loss, addrs=ends, **fast)
    net.link(proxy, lan, delay=inside * US, addrs=("10.0.0.2/24", None), **fast)
    hosts = {"client": client, "resolver": resolver, "root": root, "proxy": proxy}
    for name, address in (("login", LOGIN), ("shop", SHOP), ("db", DATABASE)):
        hosts[name] = net.host(name)
        net.link(hosts[name], lan, delay=250 * US, addrs=(f"{address}/24", None), **fast)
    net.introduce()  # all but the client, which has to ask for its gateway's MAC address
    net.link(client, gateway, delay=5 * MS, rate=20_000_000, addrs=("10.1.0.2/24", "10.1.0.1/24"))
    client.route("default", via="10.1.0.1")
    resolver.route("10.1.0.0/24", via="192.0.2.1")
    proxy.route("10.1.0.0/24", via="203.0.113.1")
    return hosts


# -- the client ------------------------------------------------------------------------------------------------------


class Poster:
    """The client: a program that blocks."""

    def __init__(self, plan: PostPlan):
        self.plan = plan
        self.flights = tlsrecords.flights(NAME, plan.resumed)

    def __call__(self) -> None:
        """Send the request, after what came before it."""
        begin = time.monotonic()
        sock = self.connect()
        if self.plan.again:
            self.post(sock)
            time.sleep(begin + LATER - time.monotonic())
        self.post(sock)
        sock.close()

    def connect(self) -> Any:
        """Look up the name, connect, and make the handshake of TLS."""
        plan, flights = self.plan, self.flights
        address = socket.getaddrinfo(PROXY if plan.known else NAME, 443, socket.AF_INET, socket.SOCK_STREAM)[0][4]
        sock = socket.socket()
        if plan.one_write:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if plan.fast_open:
            time.sleep(KEYS)
            sock.sendto(flights.hello, MSG_FASTOPEN, address)
        else:
            sock.connect(address)
            time.sleep(KEYS)
            sock.sendall(flights.hello)
        self.receive(sock, len(flights.answer))
        time.sleep(CHECK if not plan.resumed else 0)
        sock.sendall(flights.finished)
        self.tickets = len(flights.tickets)
        return sock

    def post(self, sock: Any) -> None:
        """Send the photo, and read the answer."""
        for part in [HEAD + BODY] if self.plan.one_write else [HEAD, BODY]:
            sock.sendall(tlsrecords.sealed(part))
        parts = [len(ANSWER)] if self.plan.one_write else [len(ANSWER) - len(STORED), len(STORED)]
        self.receive(sock, self.tickets + sum(map(tlsrecords.size_of, parts)))
        self.tickets = 0

    @staticmethod
    def receive(sock: Any, size: int) -> None:
        """Read so many bytes."""
        while size:
            size -= len(sock.recv(size))


# -- the proxy -------------------------------------------------------------------------------------------------------


class Proxy:
    """The proxy: it ends TLS, asks the login server about the cookie, and passes the request on to the shop."""

    def __init__(self, plan: PostPlan):
        self.plan = plan
        self.flights = tlsrecords.flights(NAME, plan.resumed)

    async def __call__(self) -> None:
        """Listen."""
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("", 443))
        if self.plan.fast_open:
            sock.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN, 16)
        await serve(self.client, sock=sock)

    async def client(self, reader: Any, writer: Any) -> None:
        """Serve one client."""
        plan, flights = self.plan, self.flights
        leave_nagle(writer, plan)
        await reader.readexactly(len(flights.hello))
        await asyncio.sleep(SIGN if not plan.resumed else KEYS)
        writer.write(flights.answer)
        await reader.readexactly(len(flights.finished))
        writer.write(flights.tickets)
        try:
            while True:
                await self.request(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            writer.close()

    async def request(self, reader: Any, writer: Any) -> None:
        """Serve one request. The texts of the records are readable, so their sizes alone matter."""
        plan = self.plan
        whole = tlsrecords.size_of(len(HEAD) + len(BODY))
        head = tlsrecords.size_of(len(HEAD))
        size = whole - head if plan.one_write else tlsrecords.size_of(len(BODY))
        await reader.readexactly(head)
        await self.ask_login()
        if plan.streaming:
            shop_reader, shop_writer = await self.open(SHOP)
            shop_writer.write(HEAD)
            passed = 0
            while size:
                data = await reader.read(size)
                size -= len(data)
                part = len(BODY) - passed if not size else min(len(data), len(BODY) - passed)
                shop_writer.write(BODY[passed : passed + part])
                passed += part
        else:
            await reader.readexactly(size)
            shop_reader, shop_writer = await self.open(SHOP)
            for text in [HEAD + BODY] if plan.one_write else [HEAD, BODY]:
                shop_writer.write(text)
        answer = await shop_reader.readexactly(len(ANSWER))
        shop_writer.close()
        split = len(ANSWER) - len(STORED)
        for text in [answer] if plan.one_write else [answer[:split], answer[split:]]:
            writer.write(tlsrecords.sealed(text))

    async def ask_login(self) -> None:
        """Ask whether the cookie is good."""
        reader, writer = await self.open(LOGIN)
        writer.write(ASK)
        await reader.readexactly(len(GOOD))
        writer.close()

    async def open(self, address: str) -> Any:
        """Connect to a server."""
        reader, writer = await asyncio.open_connection(address, 80)
        leave_nagle(writer, self.plan)
        return reader, writer


# -- the servers -----------------------------------------------------------------------------------------------------


async def login(reader: Any, writer: Any) -> None:
    """The login server: it knows the cookie."""
    await reader.readexactly(len(ASK))
    await asyncio.sleep(COOKIE)
    writer.write(GOOD)
    await reader.read()
    writer.close()


class Shop:
    """The shop: it makes a small picture of the photo, and stores it in the database."""

    def __init__(self, plan: PostPlan):
        self.plan = plan
        self.database: Any = None

    async def __call__(self) -> None:
        """Listen."""
        if self.plan.pool:
            self.database = await self.connect()
        await serve(self.request, "", 80)

    async def request(self, reader: Any, writer: Any) -> None:
        """Serve one request."""
        leave_nagle(writer, self.plan)
        await reader.readexactly(len(HEAD) + len(BODY))
        await asyncio.sleep(PHOTO)
        database = self.database or await self.connect()
        for name in (b"BEGIN", b"INSERT", b"COMMIT"):
            await self.say(database, name)
        if database is not self.database:
            database[1].close()
        writer.write(ANSWER)
        await reader.read()
        writer.close()

    async def connect(self) -> Any:
        """Connect to the database, and say who we are: two round trips after the handshake."""
        database = await asyncio.open_connection(DATABASE, 5432)
        leave_nagle(database[1], self.plan)
        for name in (b"USER", b"PROOF"):
            await self.say(database, name)
        return database

    async def say(self, database: Any, name: bytes) -> None:
        """Send one statement, its text and its values, and wait for the answer."""
        reader, writer = database
        for part in [name.ljust(STATEMENT)] if self.plan.one_write else [name.ljust(40), bytes(STATEMENT - 40)]:
            writer.write(part)
        await reader.readexactly(RESULT)


async def database(reader: Any, writer: Any) -> None:
    """The database. COMMIT waits for the disk."""
    try:
        while True:
            statement = await reader.readexactly(STATEMENT)
            await asyncio.sleep(DISK if statement.startswith(b"COMMIT") else ROW)
            writer.write(bytes(RESULT))
    except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
        writer.close()


async def serve(client: Callable[[Any, Any], Any], *where: Any, **options: Any) -> None:
    """Serve clients until the run ends."""
    async with await asyncio.start_server(client, *where, **options) as listener:
        await listener.serve_forever()


def leave_nagle(writer: Any, plan: PostPlan) -> None:
    """asyncio sets TCP_NODELAY. These programs are older than that: they leave Nagle's algorithm on, unless they write each message at once."""
    if not plan.one_write:
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)


# -- how long it takes -----------------------------------------------------------------------------------------------


def measured(timeline: Timeline, plan: PostPlan) -> "Path":
    """Return the path of the request: from what the client did first, or first at LATER, to the last byte of the answer."""
    from pystack.stepper.timing import path

    conn = next(key for key in timeline.connections if key.startswith("client tcp"))
    begin = next(
        entry.index
        for entry in timeline.events
        if entry.host == "client" and entry.kind == "call" and entry.time >= (LATER * S if plan.again else 0)
    )
    return path(timeline, conn, begin=begin)


# -- the scenario ----------------------------------------------------------------------------------------------------


def run(net: Network, plan: PostPlan) -> None:
    """Run one variant."""
    from pystack.dns import need_dnspython

    need_dnspython()
    from pystack.services.dns import DnsServer, RecursiveServer, Zone

    plan = plan._replace(again=plan.again or kept(net, "client", LATER * S), pool=plan.pool or kept(net, "shop"))
    hosts = build(net, plan)
    background: dict[Any, Any] = {
        hosts["resolver"]: RecursiveServer({"a.root.": ROOT_SERVER}),
        hosts["root"]: DnsServer(Zone(".", ROOT)),
        hosts["proxy"]: Proxy(plan),
        hosts["login"]: partial(serve, login, "", 80),
        hosts["shop"]: Shop(plan),
        hosts["db"]: partial(serve, database, "", 5432),
    }
    net.run({hosts["client"]: Poster(plan)}, background=background, limit=net.now + 60 * S)


@scenario(
    "post",
    "The anatomy of a POST: from the name to the answer, over a proxy, two servers and a database",
    "Where do the milliseconds of one request go, and for what does it wait longest?",
    look='event.kind == "timer.fired" and event.fields.timer == "delayed-ack" and host == "db"',
    mechanism="delayed-ack",
)
def post(net: Network) -> None:
    """A client that knows nothing sends a photo of 64,000 bytes to https://shop.test/. It asks its resolver for the address, and the
    resolver asks the root. It connects, makes a handshake of TLS 1.3, and writes head and body of the request. The proxy
    asks the login server about the cookie, waits for the whole body, and passes the request on to the shop, which talks with its
    database. The way to the proxy and back takes 40 ms and loses 1 % of the frames. The records of TLS have the sizes of real ones,
    but nothing is encrypted, and the times for computing are chosen. `pystack time post` and the pane "Time" show where the time went: most
    of it passed on the way, and 40 ms each time that a small segment waited for a delayed ACK.
    """
    run(net, PostPlan())


def variant(name: str) -> Scenario:
    """Return one of VARIANTS as a scenario. Its name is post:NAME."""
    plan, text = VARIANTS[name]

    def runs(net: Network) -> None:
        run(net, plan)

    runs.__doc__ = f"The scenario post with one change: {text}. " + (
        f"The request begins at {LATER} s." if plan.again else ""
    )
    base = SCENARIOS["post"]
    return Scenario(f"post:{name}", runs, f"A POST: {text}", base.question, base.looks, base.mechanism)


SCENARIOS.update((f"post:{name}", variant(name)) for name in VARIANTS)
