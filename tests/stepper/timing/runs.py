"""Random runs, and the proof of a critical path by perturbation: only a frame on the path, held back, moves the end."""

import random
from typing import Any, NamedTuple

from pystack.sim.network import MS, Network
from pystack.sim.programs import sleep, spawn
from pystack.stepper.branch import Hold, branch
from pystack.stepper.scenarios.base import Scenario, finish, listener, stream
from pystack.stepper.timeline import Timeline
from pystack.stepper.timing import CAUSES, WHYS, Path, path
from pystack_c.probe import Event

#: the ns by which a frame is held back
HELD = 1000
#: causes whose length is derived from measured round trips, so that each frame may change it a little
DERIVED = ("RTO", "tail loss probe", "reordering wait", "pacing")


class Exchange(NamedTuple):
    question: int
    answer: int
    client_thinks: int
    server_thinks: int
    in_parts: bool


class Shape:
    """What a seed chooses: links, losses, options, exchanges, and whether two programs run on each host."""

    def __init__(self, seed: int):
        chance = random.Random(seed)
        self.hops = chance.choice([0, 0, 1, 2])
        rates = chance.sample([1_000_003, 9_999_991, 50_000_017], 3)
        self.links: list[dict[str, Any]] = [
            {
                "delay": chance.randint(100_000, 30_000_000),
                "rate": rates[number] * chance.randint(1, 7),
                "queue": chance.choice([None, None, 60]),
            }
            for number in range(self.hops + 1)
        ]
        self.loss = chance.choice([0, 0, 0.02])
        self.nodelay = chance.random() < 0.5
        self.quickack = chance.choice([0, 16])
        self.exchanges = [
            Exchange(
                chance.choice([1, 100, 2000, 20_000, 90_000]),
                chance.choice([1, 100, 2000, 40_000]),
                chance.randint(0, 30 * MS),
                chance.randint(0, 20 * MS),
                chance.random() < 0.4,
            )
            for _ in range(chance.randint(1, 4))
        ]
        self.ports = [80, 81] if chance.random() < 0.4 else [80]
        self.discipline = chance.choice(["", "", "", "pfifo limit 100", "tbf rate 3mbit burst 3000 limit 300kb"])
        self.congestion = chance.choice(["cubic", "cubic", "reno", "bbr"])
        if chance.random() < 0.25:
            # On two links of one rate, a frame arrives when the one before it has just left, so there are many ties.
            for link in self.links:
                link["rate"] = self.links[0]["rate"]

    def build(self, net: Network) -> tuple[Any, Any, str]:
        """Make the hosts and links. Returns both ends and the server's address."""
        last = self.hops
        settings: dict[str, Any] = {"tcp_quickack_segs": self.quickack, "tcp_congestion": self.congestion}
        nodes = [net.host("a", **settings)]
        nodes += [net.router(f"r{number}") for number in range(self.hops)]
        nodes.append(net.host("b", **settings))
        for number, link in enumerate(self.links):
            addrs = (f"10.0.{number}.1/24", f"10.0.{number}.2/24")
            net.link(nodes[number], nodes[number + 1], addrs=addrs, loss=self.loss if number == 0 else 0, **link)
        for number, node in enumerate(nodes):
            for other in range(last + 1):
                if other > number:
                    node.route(f"10.0.{other}.0/24", via=f"10.0.{number}.2")
                elif other < number - 1:
                    node.route(f"10.0.{other}.0/24", via=f"10.0.{number - 1}.1")
        if self.discipline:
            net.links[f"a-{nodes[1].name}"].a.set_qdisc(self.discipline)
        net.introduce()
        return nodes[0], nodes[-1], f"10.0.{last}.2"

    def run(self, net: Network) -> None:
        """Run the programs until they have ended."""
        a, b, address = self.build(net)

        def server(port: int) -> Any:
            waiting = listener(b, port)

            def serve() -> Any:
                sock = yield waiting.accept()
                if self.nodelay:
                    sock.setsockopt(6, 1, 1)
                for one in self.exchanges:
                    yield sock.recv_exactly(one.question)
                    yield sleep(one.server_thinks)
                    yield sock.sendall(bytes(one.answer))
                sock.close()

            return serve()

        def client(port: int) -> Any:
            sock = stream(a)
            yield sock.connect(address, port)
            if self.nodelay:
                sock.setsockopt(6, 1, 1)
            for one in self.exchanges:
                yield sleep(one.client_thinks)
                size = -(-one.question // 2) if one.in_parts else one.question
                for at in range(0, one.question, size):
                    yield sock.sendall(bytes(min(size, one.question - at)))
                yield sock.recv_exactly(one.answer)
            sock.close()

        programs = [program for port in self.ports for program in (server(port), client(port))]
        finish(net, *(spawn(net, program) for program in programs))


def scenario(seed: int) -> Scenario:
    """The random run of a seed."""
    return Scenario(f"random {seed}", Shape(seed).run, "", "", (), "")


def check_sum(found: Path) -> None:
    """The spans follow each other without a gap, and nothing is unknown."""
    assert sum(span.duration for span in found) == found.elapsed
    assert found.spans[0].start == found.begin and found.spans[-1].end == found.end
    for one, two in zip(found.spans, found.spans[1:]):
        assert one.end == two.start and one.duration > 0
    assert all(span.cause in CAUSES and span.why in WHYS for span in found)
    assert not {"unknown", "on the way", "driver", "timer", "jitter", "peer"} & {span.cause for span in found}


class HoldQueued(Hold):
    """Hold for a sender with a queueing discipline. It finds the frame by its bytes, because the discipline may drop frames that were sent before it."""

    def prepare(self, net: Network, timeline: Timeline) -> None:
        """Note the bytes of the frame, and how many frames with the same bytes come before it."""
        chosen = timeline.frames[self.frame - 1]
        self.place_of = (chosen.host, chosen.iface)
        self.data = chosen.data
        self.before = sum(one.data == chosen.data for one in timeline.frames if one.number < self.frame)
        self.seen = self.frames = 0

    def sent(self, net: Network, event: Event) -> None:
        """At the first frame of the sender, wrap the channel of its port."""
        if (event.host, event.fields["iface"]) != self.place_of:
            return
        self.frames += 1
        if self.frames == 1:
            channel: Any = net.hosts[event.host].port(event.fields["iface"]).out
            before = channel.meddle

            def meddle(frame: bytes, now: int, arrivals: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
                arrivals = arrivals if before is None else before(frame, now, arrivals)
                if frame != self.data:
                    return arrivals
                self.seen += 1
                return self.fate(arrivals, arrivals[0]) if self.seen == self.before + 1 and arrivals else arrivals

            channel.meddle = meddle


class Held(NamedTuple):
    """A frame that was held for so many ns in a run of its own, and the ns by which the end of the request moved."""

    number: int
    held: int
    change: int


class Disturbed(NamedTuple):
    """What frames did that were held, one in each new run.

    found    the path, whose frames should move the end
    held     the frames
    wrong    those that moved the end otherwise than the path says: (number, ns, whether it is on the path)
    near     frames on another path that ends less than the time for which they were held before the end; they moved it by the rest
    ties     frames on other paths that end at the same time: they are held, too, but they may move the end or not
    derived  the path has a timer that is derived from measured round trips. Each frame is part of these and may move the end a little, so
             none of them is wrong; `held` shows what they did
    """

    timeline: Timeline
    found: Path
    held: list[Held]
    wrong: list[tuple[int, int, bool]]
    near: list[Held]
    ties: list[Held]
    derived: bool


def chosen_frames(timeline: Timeline, found: Path, most: int, seed: int) -> list[tuple[int, int]]:
    """Return (number, ns) of the frames to hold: as many on the path as beside it, if there are. In a small run, each is held for several times."""
    on_path, ties = set(found.frames()), set(found.ties)
    frames = [frame.number for frame in timeline.frames if frame.arrived >= 0 and frame.time <= found.end]
    frames = [number for number in frames if number not in ties]
    if len(frames) > most:
        half = random.Random(seed)
        first = [number for number in frames if number in on_path]
        rest = [number for number in frames if number not in on_path]
        part = max(most - len(rest), min(most // 2, len(first)))
        frames = half.sample(first, part) + half.sample(rest, most - part)
    tries = [(number, HELD >> turn) for turn in range(6) for number in frames]
    return tries[:most]


def disturbed(seed: int, most: int, ties: int = 0) -> Disturbed:
    """Hold `most` frames of the run of a seed, and this many of the ties, one in each new run."""
    chosen = scenario(seed)
    timeline = chosen.timeline()
    found = path(timeline)
    on_path = set(found.frames())
    derived = any(span.cause in DERIVED for span in found)

    def hold(number: int, time: int) -> Held:
        change = HoldQueued(number, time) if timeline.boxes else Hold(number, time)
        return Held(number, time, path(branch(chosen, None, change, original=timeline)).elapsed - found.elapsed)

    held = [hold(*one) for one in chosen_frames(timeline, found, most, seed)]
    tied = [hold(number, HELD) for number in random.Random(seed).sample(found.ties, min(ties, len(found.ties)))]
    wrong, near = [], []
    for one in [] if derived else held:
        if one.change == (one.held if one.number in on_path else 0):
            continue
        # Another path may end a little earlier. Then the end moves only by what is more than that.
        if (
            one.number not in on_path
            and 0 < one.change < one.held
            and not hold(one.number, one.held - one.change).change
        ):
            near.append(one)
        else:
            wrong.append((one.number, one.change, one.number in on_path))
    if not derived:
        wrong += [(one.number, one.change, False) for one in tied if not 0 <= one.change <= one.held]
    return Disturbed(timeline, found, held, wrong, near, tied, derived)


def contradicts(found: Path, measured: Disturbed) -> bool:
    """Return True if what was measured contradicts a path of the same run."""
    on_path, either = set(found.frames()), {*found.ties, *(one.number for one in measured.near)}
    beside = [one for one in measured.held if one.number not in either or one.number in on_path]
    return not measured.derived and any(one.change != (one.held if one.number in on_path else 0) for one in beside)
