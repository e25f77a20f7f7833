"""The scenario `post`: a cold client sends a photo through a resolver, TLS and a proxy to a shop and its database."""

from functools import cache
from typing import Any

from pystack.labs.looks import LabLook
from pystack.labs.values import LabControl, LabValue
from pystack.sim.network import MS, Network
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


def value(name: str, question: str, formula: str, expected: int, tolerance: float = 0) -> LabValue:
    """Return a value of a run."""
    return LabValue(name, question, formula, expected, tolerance=tolerance, needs=NEEDS)


VALUES = [
    value("delays", "How long does the request wait for delayed acknowledgements?", "5 D", 5 * D),
    value("lookup", "How long are the packets of the name lookup on their way?", "12 + 20 ms", LOOKUP),
    value("handshakes", "And those of the handshakes of TCP and TLS?", "2 R + 2 r", 2 * R + 2 * IN),
    value("window", "And those for which the congestion windows wait?", "2 R + 2 r", 2 * R + 2 * IN),
    value("loss", "How much longer are they on their way if one segment of the photo is lost?", "R", R),
    value("total", "How long does the POST take, if nothing is lost?", "the sum of all ways and waits, and what the rate adds",
          WAYS + COMPUTING, (WAYS + COMPUTING) / 20),
    value("one-write", "What does it save if each message is written at once?", "5 D + R + 5 r", WRITES, MS / 2),
    value("keep-alive", "What does it save if the connection is open already?", "ARP + lookup + 2 R + computing",
          ARP + LOOKUP + 2 * R + KEYS + SIGN + CHECK, MS),
    value("resumption", "What does TLS resumption save?", "the check and the signature, no round trip", CHECK + SIGN - KEYS, MS),
    value("pool", "What does it save if the shop keeps its connection to the database?", "D + 5 r + 2 * 0.4 ms", D + 5 * IN + 2 * ROW, MS / 10),
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


LOOKS = [
    LabLook("Where the time of the request goes", "post", plot="waterfall", needs=NEEDS),
]  # fmt: skip
