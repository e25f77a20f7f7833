"""The scenario `post`: a cold client sends a photo through a resolver, TLS and a proxy to a shop and its database."""

from functools import cache
from typing import Any

from pystack.labs.lab_36_post import world
from pystack.labs.lab_36_post.world import PHOTOS, Phone, Upload
from pystack.labs.looks import LabLook
from pystack.labs.values import LabControl, LabValue
from pystack.sim.network import MS, Network
from pystack.sim.programs import Program
from pystack.stepper.scenarios import post
from pystack.stepper.scenarios.base import Scenario
from pystack.stepper.scenarios.post import VARIANTS, PostPlan
from pystack.stepper.timing import Path

NEEDS = "greenlet dns"
R, IN = 40 * MS, MS  # round trips: client and proxy, and two of the servers
D = 40 * MS  # the longest time for which a receiver delays an acknowledgement
ARP = 10 * MS  # a round trip to the gateway
LOOKUP = 12 * MS + 20 * MS  # round trips to the resolver, and from there to the root
KEYS, CHECK, SIGN, ROW = (round(seconds * 1e9) for seconds in (post.KEYS, post.CHECK, post.SIGN, post.ROW))
WRITES = 5 * D + R + 5 * IN
WAYS = ARP + LOOKUP + (R + 2 * IN) + R + (2 * R + 2 * IN) + WRITES + 46 * MS
CALL = world.R + world.THINK  # of the album: one photo on an open connection
COMPUTING = KEYS + SIGN + CHECK + 8_600_000


def network() -> Network:
    """Build the network."""
    net = Network(seed=1)
    post.build(net, PostPlan())
    return net


@cache
def request(variant: str = "", loss: float = 0.0) -> Path:
    """Run a variant of the scenario. Returns where the time went, as `pystack time` does."""
    plan = (VARIANTS[variant][0] if variant else PostPlan())._replace(loss=loss)
    timeline = Scenario("post", lambda net: post.run(net, plan), "", "", (), "").timeline()
    return post.measured(timeline, plan)


def waits(found: Path, *causes: tuple[str, str]) -> int:
    """Return the ns of causes with what is waited for."""
    totals = found.totals()
    return sum(totals.get(cause, 0) for cause in causes)


def album(connections: int) -> Upload:
    """Return a program that sends the album of the exercise over some connections at the same time."""

    def upload(phone: Phone, photos: list[bytes], head: Any) -> Program:
        address = yield from phone.lookup(world.NAME)

        def worker(mine: range) -> Program:
            sock = yield from phone.connect(address)
            for number in mine:
                yield sock.sendall(head(number, photos[number]) + photos[number])
                yield sock.recv_exactly(world.ANSWER)

        yield from [phone.start(worker(range(first, len(photos), connections))) for first in range(connections)]

    return upload


def value(name: str, question: str, formula: str, expected: int, tolerance: float = 0) -> LabValue:
    """Return a value of a run."""
    return LabValue(name, question, formula, expected, tolerance=tolerance, needs=NEEDS)


VALUES = [
    value("delays", "How long does the request wait for delayed acknowledgements?", "5 D", 5 * D),
    value("lookup", "How long are the packets of the name lookup on their way?", "12 + 20 ms", LOOKUP),
    value("handshakes", "And those of the handshakes of TCP and TLS?", "2 R + 2 r", 2 * R + 2 * IN),
    value("window", "And those for which the congestion windows wait?", "2 R + 2 r", 2 * R + 2 * IN),
    value("loss", "How much longer are they on their way if one segment of the photo is lost?", "R", R),
    value("total", "How long does the POST take, if nothing is lost?", "ways, waits and computing, and some ms for the rate",
          WAYS + COMPUTING, (WAYS + COMPUTING) / 20),
    value("one-write", "What does it save if each message is written at once?", "5 D + R + 5 r", WRITES, MS / 2),
    value("keep-alive", "What does it save if the connection is open already?", "ARP + lookup + 2 R + computing",
          ARP + LOOKUP + 2 * R + KEYS + SIGN + CHECK, MS),
    value("resumption", "What does TLS resumption save?", "the check and the signature, no round trip", CHECK + SIGN - KEYS, MS),
    value("pool", "What does it save if the shop keeps its connection to the database?", "D + 5 r + 2 * 0.4 ms", D + 5 * IN + 2 * ROW, MS / 10),
    LabValue("album", "An album of 12 photos, one after the other on one connection: how long does it take?", "30 ms + 2 R + 12 (R + 10 ms)",
             world.LOOKUP + 2 * world.R + len(PHOTOS) * CALL, tolerance=30 * MS),
    LabValue("album of four", "And on four connections?", "30 ms + 2 R + 3 (R + 10 ms)", world.LOOKUP + 2 * world.R + 3 * CALL, tolerance=15 * MS),
]  # fmt: skip
CAUSES = {
    "delays": (("delayed ACK", "Nagle"),),
    "lookup": (("propagation", "name lookup"),),
    "handshakes": (("propagation", "connection"), ("propagation", "TLS handshake")),
    "window": (("propagation", "congestion window"),),
    "loss": (("propagation", "loss, fast retransmit"),),
}


def measure(name: str) -> Any:
    """Measure one of VALUES."""
    if name.startswith("album"):
        return world.run(album(world.CONNECTIONS if name.endswith("four") else 1)).path().elapsed
    if name in CAUSES:
        return waits(request(loss=0.01 if name == "loss" else 0.0), *CAUSES[name])
    return request().elapsed - (0 if name == "total" else request(name).elapsed)


CONTROLS = [
    LabControl("Each message is written at once", value("one-write", "Wait for delayed acknowledgements", "0", 0)),
    LabControl("The client knows the address", value("warm-dns", "The packets of the lookup", "0", 0)),
]


def control(name: str) -> int:
    """Measure a control."""
    return waits(request(name), *CAUSES["delays" if name == "one-write" else "lookup"])


def played(plan: PostPlan) -> None:
    """Run a variant, to look at."""
    post.run(Network(seed=1), plan)


DELAYED = 'host == "db" and event.kind == "timer.fired" and event.fields.timer == "delayed-ack"'
LOOKS = [
    LabLook("Where the time of the POST goes", lambda: played(PostPlan()), DELAYED, "waterfall", needs=NEEDS),
    LabLook("Each message is written at once", lambda: played(VARIANTS["one-write"][0]), "frame=1", "waterfall", needs=NEEDS),
]  # fmt: skip
