"""Random networks x random applications x random options, as a list of ingredients, so that a failure can shrink.

An ingredient is a small JSON list: `["net", "loss", 0.05]`, `["a", "tcp_sack", false]`, `["at", 1200, "mtu", 900]`,
`["flow", {...}]`. `draw(seed)` makes a list, `Scenario(seed, list)` runs it, and what must hold is checked:

- what arrives is a prefix of what was sent, and all of it where nobody was rude and the network left a way;
- no program hangs while there is a way; each ends as a program of its kind may end;
- after every event the stacks' invariants hold (tests/support/invariants.py);
- in the end no timer, no endpoint, no queue is left.

`shrink` takes ingredients away, and makes the rest smaller, as long as the scenario still fails.
"""

import errno
import random
from collections.abc import Callable, Generator
from typing import Any

import pystack_c.const as C
from pystack.sim.network import MS, Network, S
from pystack.sim.programs import StreamSocket, sleep, spawn, stream
from tests.sim.hostile import Transfer, pattern
from tests.sim.middlebox import Middlebox
from tests.support.invariants import Watch, idle

M32 = 0xFFFFFFFF
LIMIT = 20_000 * S
Ingredient = list[Any]
#: how a rude connection, or one without a way, may end
ENDS = frozenset((errno.ECONNRESET, errno.EPIPE, errno.ETIMEDOUT, errno.ECONNABORTED, errno.ENOTCONN, errno.EBADF))
#: what ICMP may make of an opening, and of an end that has no other reason
ICMP_ENDS = frozenset(
    (
        errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENOPROTOOPT, errno.EOPNOTSUPP, errno.EPROTO,
        errno.EHOSTDOWN, errno.ENONET, errno.EMSGSIZE,
    )
)  # fmt: skip

NETWORK: dict[str, list[Any]] = {
    "delay": [1, 5, 20, 80, 200],
    "rate": [200_000, 1_000_000, 10_000_000],
    "queue": [3, 20, 100],
    "loss": [0.01, 0.05, 0.1],
    "reorder": [0.05, 0.2],
    "reorder_delay": [2, 15, 60],
    "duplicate": [0.05, 0.3],
    "corrupt": [0.02],
    "jitter": [1, 10],
    "mtu": [576, 1000, 1499, 296],
    "mark": [0, 3],
}
SETTINGS: dict[str, list[Any]] = {
    "tcp_sack": [False],
    "tcp_timestamps": [False],
    "tcp_window_scaling": [False],
    "tcp_wscale": [0, 3, 14],
    "tcp_mtu_probing": [1, 2],
    "min_pmtu": [68],
    "tcp_rack": [False],
    "tcp_tlp": [False],
    "tcp_prr": [False],
    "tcp_frto": [False],
    "tcp_undo": [False],
    "tcp_limited_transmit": [False],
    "tcp_ecn": [0, 1, 3, 4, 5],
    "tcp_ecn_option": [0, 1],
    "tcp_accecn_linux": [True],
    "tcp_rmem": [65536, 8192, 2048],
    "tcp_wmem": [16384, 2048],
    "tcp_delack_time": [1 * MS, 200 * MS],
    "tcp_delack_segs": [1],
    "tcp_quickack_segs": [0],
    "tcp_nagle": [False],
    "tcp_minshall": [False],
    "tcp_mss": [536, 1000, 88],
    "tcp_congestion": ["cubic", "bbr", "tahoe"],
    "tcp_notsent_lowat": [1, 4000],
    "tcp_linux_queue": [True],
    "tcp_pacing": [True],
    "tcp_push_bursts": [False],
    "tcp_ack_pushed": [False],
    "tcp_grow_delivered": [True],
    "tcp_prr_safe": [True],
    "tcp_prr_ecn": [True],
    "tcp_sack_whole": [True],
    "tcp_init_cwnd": [1, 2, 40],
    "tcp_slow_start_after_idle": [False],
    "tcp_max_ooo": [4],
    "tcp_rto_min": [1 * S],
    "offload": [True],
}
#: IP options of a client's segments (RFC 791 3.1): record route; loose and strict source route by way of the server itself
OPTIONS = {
    "record": bytes((7, 15, 4)) + bytes(12),
    "loose": bytes((131, 7, 4, 10, 0, 0, 2)),
    "strict": bytes((137, 7, 4, 10, 0, 0, 2)),
}
MSG_OOB, MSG_MORE = 1, 0x8000
#: of the two: passes through zero at once, or soon; or not at all
ISNS = (0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFC00, 0xFFFFE000, 0x7FFFFF00, 5)


def draw(seed: int) -> list[Ingredient]:
    """The ingredients of a seed."""
    rng = random.Random(f"ingredients/{seed}")
    found: list[Ingredient] = []
    for name, values in NETWORK.items():
        if rng.random() < 0.3:
            found.append(["net", name, rng.choice(values)])
    if rng.random() < 0.2:
        found.append(["net", "silent", True])  # too large for the middle of the path: no ICMP says so
    for host in "ab":
        if rng.random() < 0.8:
            found.append([host, "tcp_isn", rng.choice(ISNS)])
        for name, values in SETTINGS.items():
            if rng.random() < 0.12:
                found.append([host, name, rng.choice(values)])
    for _ in range(rng.choice((0, 0, 0, 1, 2, 4))):
        found.append(_event(rng))
    flows = [_flow(rng) for _ in range(rng.choice((1, 1, 2, 3)))]
    for later in flows[1:]:
        # (The first asks for a cookie, the others have one.)
        later["tfo"] = flows[0]["tfo"]
        later["start"] += 1000 if later["tfo"] else 0
    found += [["flow", flow] for flow in flows]
    return found


def _event(rng: random.Random) -> Ingredient:
    at = rng.randrange(5000)
    kind = rng.choice(("mtu", "down", "lie", "lie", "loss"))
    if kind == "mtu":
        return ["at", at, "mtu", rng.choice((1500, 1200, 576, 300))]
    if kind == "down":
        return ["at", at, "down", rng.choice((50, 1000, 20_000))]
    if kind == "loss":
        return ["at", at, "loss", rng.choice((0, 0.1))]
    icmp = rng.choice(((3, 0), (3, 1), (3, 2), (3, 3), (3, 4), (3, 13), (4, 0), (5, 1), (11, 0), (11, 1), (12, 0)))
    return ["at", at, "lie", [*icmp, rng.choice((0, 68, 296, 1400, 9000)), rng.choice(("a", "b")), rng.choice((1, 5))]]


def _flow(rng: random.Random) -> dict[str, Any]:
    """One connection: a program at each end."""
    ends = ("close",) * 6 + ("abort", "early", "linger")
    return {
        "start": rng.choice((0, 0, 10, 700)),
        "tfo": rng.random() < 0.25,
        "options": rng.choice(tuple(OPTIONS)) if rng.random() < 0.1 else "",
        **{
            side: {
                "size": rng.choice((0, 1, 100, 1460, 5000, 20_000, 60_000)),
                "chunk": rng.choice((1, 100, 1460, 4000, 20_000)) if rng.random() < 0.5 else 20_000,
                "pause": rng.choice((0, 0, 0, 1, 60, 600)),
                "read": rng.choice((1, 100, 4096, 65536)) if rng.random() < 0.4 else 65536,
                "slow": rng.choice((0, 0, 0, 1, 100, 2000)),
                "end": rng.choice(ends),
                "nodelay": rng.random() < 0.2,
                "keep": rng.random() < 0.1,
                "cork": rng.random() < 0.1,
                "more": rng.random() < 0.1,
                "oob": rng.random() < 0.1,
                "lowat": rng.choice((1, 2000, 16_384)) if rng.random() < 0.1 else 0,
                "patience": rng.choice((100, 3000, 10_000_000)) if rng.random() < 0.1 else 0,
            }
            for side in ("a", "b")
        },
    }


class Program:
    """One end of a flow: what it sent, what it got, how it ended."""

    def __init__(self, seed: int, name: str, wish: dict[str, Any]):
        self.wish = wish
        self.data = pattern(seed, name, wish["size"])
        # No more than some 300 pieces, and pauses, of each.
        self.chunk = max(wish["chunk"], len(self.data) // 300)
        self.graceful = wish["end"] == "close"
        #: TCP_USER_TIMEOUT so short that a bad network alone may end it
        self.impatient = 0 < wish.get("patience", 0) < 1_000_000
        self.sent = 0
        self.got = bytearray()
        self.ended = self.eof = False
        self.error: OSError | None = None
        self.connected = False

    def run(self, sock: StreamSocket) -> Generator[Any, Any, None]:
        """Send and receive, then end."""
        self.connected = True
        wish = self.wish
        if wish["nodelay"]:
            sock.setsockopt(6, 1, 1)
        if wish.get("lowat"):
            sock.setsockopt(6, 25, wish["lowat"])
        if wish.get("patience"):
            sock.setsockopt(6, 18, wish["patience"])
        # Who only reads would never hear of a peer whose RST was lost.
        sock.setsockopt(1, 9, 1)
        sock.setsockopt(6, 4, 2 if wish["keep"] else 100)
        writing = spawn(sock.host.net, self._write(sock))
        try:
            yield from self._read(sock)
        except OSError as error:
            self.error = self.error or error
        if self.graceful:
            yield writing
        if wish["end"] == "abort":
            sock.abort()
        else:
            if wish["end"] == "linger":
                sock.setsockopt(1, 13, (1, 0))
            sock.close()
        self.ended = True

    def _write(self, sock: StreamSocket) -> Generator[Any, Any, None]:
        wish = self.wish
        flags = MSG_MORE if wish.get("more") else 0
        try:
            if wish.get("cork"):
                sock.setsockopt(6, 3, 1)
            while self.sent < len(self.data):
                piece = self.data[self.sent : self.sent + self.chunk]
                urgent = 1 if wish.get("oob") else 0
                yield sock.sendall(piece[: len(piece) - urgent], flags)
                self.sent += len(piece) - urgent
                if urgent:
                    yield sock.sendall(piece[-1:], MSG_OOB)
                    self.sent += 1
                if wish["pause"]:
                    yield sleep(wish["pause"] * MS)
                if not self.graceful and self.sent > len(self.data) // 2:
                    return
            if wish.get("cork"):
                sock.setsockopt(6, 3, 0)
            while sock.endpoint.state == C.SYN_SENT:
                # (Fast Open: the data went with the SYN. Who shuts down now gives the opening up.)
                yield sleep(100 * MS)
            sock.shutdown()
        except OSError as error:
            self.error = self.error or error

    def _read(self, sock: StreamSocket) -> Generator[Any, Any, None]:
        wish = self.wish
        pauses = 0
        while True:
            reading = sock.recv(max(wish["read"], len(self.got) // 200))
            try:
                part = yield reading if self.graceful else sock.within(reading, 60 * S)
            except TimeoutError:
                if self.graceful:
                    raise
                return
            if not part:
                self.eof = True
                return
            self.got += part
            if not self.graceful and (wish["end"] == "early" or len(self.got) > 2000):
                return
            if wish["slow"] and pauses < 100:
                pauses += 1
                yield sleep(wish["slow"] * MS)


class Scenario:
    """One list of ingredients, ready to run. `check` is how often the invariants are looked at: every so many events."""

    def __init__(
        self,
        seed: int,
        ingredients: list[Ingredient],
        check: int = 1,
        prepare: Callable[[Network], object] = lambda net: None,
    ):
        self.ingredients = ingredients
        self.every = check
        self.net = net = Network(seed)
        prepare(net)
        self.hosts = {}
        flows = [i[1] for i in ingredients if i[0] == "flow"]
        for name in "ab":
            chosen = {i[1]: i[2] for i in ingredients if i[0] == name}
            if any(flow.get("tfo") for flow in flows):
                chosen.setdefault("tcp_fastopen", 3)
            if any(flow.get("options") for flow in flows):
                chosen.setdefault("accept_source_route", True)
            # (Who has closed tries as long as who has not: an outage is no reason to fail.)
            chosen.setdefault("tcp_orphan_retries", 15)
            chosen.setdefault("tcp_syn_retries", 9)
            self.hosts[name] = net.host(name, offload=chosen.pop("offload", False), **chosen)
        bad = {i[1]: i[2] for i in ingredients if i[0] == "net"}
        self.box = Middlebox(net, self.hosts["a"], self.hosts["b"], bad.pop("mtu", 1500), not bad.pop("silent", False))
        for name in ("delay", "reorder_delay", "jitter"):
            if name in bad:
                bad[name] *= MS
        self.box.link.set(**bad)
        net.introduce()
        self.lies = self.black_hole = False
        for i in ingredients:
            if i[0] == "at":
                self.lies |= i[2] == "lie"
                net.at(i[1] * MS, self.box.happen, i[2], i[3])
        sizes = [bad.get("mtu", 1500)] + [i[3] for i in ingredients if i[0] == "at" and i[2] == "mtu"]
        mtus = [i[2] for i in ingredients if i[:2] == ["net", "mtu"]] + sizes
        self.black_hole = not self.box.tells and min(mtus) < 1500
        self.flows: list[tuple[Program, Program]] = []
        self.wishes = flows
        for number, flow in enumerate(flows):
            pair = (Program(seed + number, "a", flow["a"]), Program(seed + number, "b", flow["b"]))
            self.flows.append(pair)
            spawn(net, self._server(7000 + number, pair[1]))
            net.after(flow["start"] * MS, self._start, number, pair[0])

    def _start(self, number: int, program: Program) -> None:
        spawn(self.net, self._client(number, program))

    def _server(self, port: int, program: Program) -> Generator[Any, Any, None]:
        listener = stream(self.hosts["b"])
        self._before(listener, port - 7000)
        listener.bind("", port)
        listener.listen(1)
        if self.wishes[port - 7000].get("tfo"):
            listener.setsockopt(6, 23, 5)
        try:
            sock = yield listener.within(listener.accept(), 1000 * S)
        except TimeoutError:
            program.ended = True
            listener.close()
            return
        listener.close()
        yield from program.run(sock)

    def _client(self, number: int, program: Program) -> Generator[Any, Any, None]:
        sock = stream(self.hosts["a"])
        wish = self.wishes[number]
        self._before(sock, number)
        if wish.get("options"):
            sock.setsockopt(0, 4, OPTIONS[wish["options"]])
        if wish.get("tfo") and wish["a"]["size"] > 0:
            # (TCP_FASTOPEN_CONNECT: the first data goes with the SYN, where a cookie is known.)
            sock.setsockopt(6, 30, 1)
        try:
            yield sock.connect("10.0.0.2", 7000 + number)
        except OSError as error:
            program.error = error
            program.ended = True
            sock.close()
            return
        yield from program.run(sock)

    def _before(self, sock: StreamSocket, number: int) -> None:
        """What must be set before data can come: urgent bytes stay in the stream."""
        if any(self.wishes[number][side].get("oob") for side in "ab"):
            sock.setsockopt(1, 10, 1)

    def run(self) -> int:
        """Run to the end, checking all the while; returns the virtual time it took."""
        net = self.net
        watches = [Watch(host.stack) for host in self.hosts.values()]
        programs = [program for pair in self.flows for program in pair]
        took = 0
        while net.step():
            assert net.now < LIMIT and net.steps < 2_000_000, f"hangs: {self._who_hangs(programs)}"
            # (Not between two things that happen at one instant: what is due now may still be to come.)
            if self.every and net.steps % self.every == 0 and net.next_time() != net.now:
                for watch in watches:
                    watch.check()
            if not took and all(program.ended for program in programs):
                took = net.now
        assert all(program.ended for program in programs), f"hangs: {self._who_hangs(programs)}"
        for number, pair in enumerate(self.flows):
            self._judge(number, *pair)
        for name, host in self.hosts.items():
            left = Transfer.leftovers(host)
            assert not left, f"{name} still has {left}"
            idle(host.stack)
        return took

    @staticmethod
    def _who_hangs(programs: list[Program]) -> str:
        return "; ".join(f"{p.sent} of {len(p.data)} sent, {len(p.got)} received" for p in programs if not p.ended)

    def wraps(self) -> int:
        """How many of the connections' two directions passed sequence number zero (or began just at it)."""
        count = 0
        for name, host in self.hosts.items():
            first = host.stack.config.tcp_isn
            sent = [len((a if name == "b" else b).got) for a, b in self.flows]
            count += sum(0 <= first <= M32 < first + 1 + n for n in sent)
        return count

    def _judge(self, number: int, a: Program, b: Program) -> None:
        """What came is what was sent; and how it ended is how it may."""
        rude = not (a.graceful and b.graceful) or a.impatient or b.impatient
        failed = a.error is not None or b.error is not None
        for here, there in ((a, b), (b, a)):
            where = f"flow {number}, {'b to a' if here is a else 'a to b'}"
            assert there.data.startswith(bytes(here.got)), f"{where}: other bytes than were sent"
            allowed = ENDS | ICMP_ENDS if self.lies or self.black_hole else ENDS
            if self.wishes[number].get("tfo"):
                # (The server may have ended before its SYN,ACK arrived: then nobody listens any more.)
                allowed = allowed | {errno.ECONNREFUSED}
            assert here.error is None or here.error.errno in allowed, f"{where}: {here.error!r}"
            if not rude and not failed:
                assert here.eof and len(here.got) == len(there.data), f"{where}: {len(here.got)} of {len(there.data)}"
        if rude or self.black_hole:
            return
        refused = self.lies and (not a.connected or self.wishes[number].get("tfo"))
        assert not failed or refused, f"flow {number} failed for no reason: {a.error!r} {b.error!r}"


def failure(seed: int, ingredients: list[Ingredient], check: int = 1) -> str:
    """What goes wrong, in one line, or ""."""
    try:
        Scenario(seed, ingredients, check).run()
    except Exception as error:  # noqa: BLE001 (whatever it is, it is what we look for)
        return f"{type(error).__name__}: {error}".split("\n")[0]
    return ""


def shrink(seed: int, ingredients: list[Ingredient], tries: int = 400) -> tuple[list[Ingredient], str]:
    """Fewer and smaller ingredients that still fail, and how they fail."""
    best, why = list(ingredients), failure(seed, ingredients)
    budget = [tries]

    def attempt(candidate: list[Ingredient]) -> bool:
        nonlocal best, why
        if budget[0] <= 0:
            return False
        budget[0] -= 1
        said = failure(seed, candidate)
        if said:
            best, why = candidate, said
        return bool(said)

    size = max(1, len(best) // 2)
    while size:
        at = 0
        while at < len(best):
            candidate = best[:at] + best[at + size :]
            if not any(i[0] == "flow" for i in candidate) or not attempt(candidate):
                at += size
        size //= 2
    for number, item in enumerate(best):
        if item[0] == "flow":
            _shrink_flow(best, number, attempt, lambda: best)
    return best, why


PLAIN = {"pause": 0, "slow": 0, "read": 65536, "chunk": 20_000, "end": "close", "nodelay": False, "keep": False,
         "cork": False, "more": False, "oob": False, "lowat": 0, "patience": 0}  # fmt: skip


def _shrink_flow(
    _: list[Ingredient], number: int, attempt: Callable[[list[Ingredient]], bool], now: Callable[[], list[Ingredient]]
) -> None:
    """Plainer programs, and less data."""

    def changed(side: str, name: str, value: Any) -> list[Ingredient]:
        flow = now()[number][1]
        return [*now()[:number], ["flow", {**flow, side: {**flow[side], name: value}}], *now()[number + 1 :]]

    for side in "ab":
        for name, value in PLAIN.items():
            if now()[number][1][side].get(name, value) != value:
                attempt(changed(side, name, value))
        while (size := now()[number][1][side]["size"]) > 0:
            if not attempt(changed(side, "size", 0 if size == 1 else size // 2)):
                break
