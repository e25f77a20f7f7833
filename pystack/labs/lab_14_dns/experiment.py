"""A client asks for names, once, again, and later. It is an ordinary program, which runs in virtual time."""

import socket
import time
from collections.abc import Callable
from typing import Any

from pystack.labs.hosts import HostValue
from pystack.labs.lab_14_dns import tools
from pystack.labs.lab_14_dns.forger import GUESSES, LOOKUPS, believed
from pystack.labs.lab_14_dns.zones import LIFE, NEGATIVE, ZONES, build
from pystack.labs.looks import LabLook
from pystack.labs.values import LabControl, LabValue
from pystack.sim.network import Network

NEEDS = "greenlet dns"
MILLI = "milliseconds"  # as the program itself measures them
STUB, SERVER = 20, 40  # ms: round trips from the stub to the resolver, and from there to each server
COLD = STUB + 3 * SERVER
WEB, MISSING = ["192.0.2.80"], socket.EAI_NONAME


def network() -> Network:
    """Build the network."""
    return build()


def lookups(program: Callable[[], Any], other: Callable[[Network], Any] | None = None) -> tuple[Any, Any, int]:
    """Run a program on the stub, and one on the other client. Returns their results, and how many questions the resolver asked."""
    from pystack.dns import DnsSettings
    from pystack.services.dns import DnsServer, RecursiveServer, Zone

    net = build(client={"dns": DnsSettings((("10.0.0.53", 53),))})
    hosts = net.hosts
    resolver = RecursiveServer({"a.root.": "10.1.0.1"})
    servers = {hosts[name]: DnsServer(Zone(*zone)) for name, zone in ZONES.items()}
    second = (lambda: other(net)) if other else (lambda: None)
    found = net.run(
        {hosts["stub"]: program, hosts["other"]: second}, background={**servers, hosts["resolver"]: resolver}
    )
    return found[hosts["stub"]], found[hosts["other"]], resolver.recursive.asked


def timed(name: str, wanted: Any) -> float:
    """Look a name up. Returns the time (ms)."""
    began = time.monotonic()
    try:
        found: Any = socket.gethostbyname_ex(name)[2]
    except socket.gaierror as error:
        found = error.errno
    assert found == wanted or wanted is None
    return round((time.monotonic() - began) * 1000, 6)


def web() -> float:
    """Look `web` up."""
    return timed("web.example.test", WEB)


def later() -> list[float]:
    """Look `web` up, shortly before the stub's copy ends, and shortly after that."""
    times = [web()]
    time.sleep(LIFE - 0.061)  # The resolver's copy ends 10 ms before the stub's.
    times.append(web())
    time.sleep(0.062)
    return [*times, web()]


def missing() -> list[float]:
    """Look up a name that does not exist: at once, again, before and after the end of this knowledge."""
    times = []
    for pause in (0, 0, NEGATIVE - 1, 2):
        time.sleep(pause)
        times.append(timed("nothing.example.test", MISSING))
    return times


def after(seconds: float, name: str, wanted: Any = None, lose: bool = False) -> Callable[[Network], float]:
    """Return a program for the other client: look a name up later, and lose its first question if `lose`."""

    def program(net: Network) -> float:
        time.sleep(seconds)
        if lose:
            net.links["other"].ab.drop(1)
        return timed(name, wanted)

    return program


VALUES = [
    LabValue("twice", "The first lookup, and the second one?", "20 + 3 * 40, 0", [COLD, 0], MILLI, needs=NEEDS),
    LabValue("asked", "How many questions does the resolver ask for them?", "3", 3, "questions", needs=NEEDS),
    LabValue("other", "Another client of the resolver, a second later?", "20", STUB, MILLI, needs=NEEDS),
    LabValue(
        "later",
        "The first lookup, one before the end of the record's life, one after it?",
        "20 + 3 * 40, 0, 20 + 40",
        [COLD, 0, STUB + SERVER],
        MILLI,
        needs=NEEDS,
    ),
    LabValue("alias", "An alias of a name in the same zone?", "20 + 3 * 40", COLD, MILLI, needs=NEEDS),
    LabValue("big", "An answer in the resolver's cache that needs TCP?", "3 * 20", 3 * STUB, MILLI, needs=NEEDS),
    LabValue(
        "big cold",
        "The same answer, if no cache has anything? (Now the resolver needs TCP, too.)",
        "2 * 40 + 3 * 40 + 3 * 20",
        5 * SERVER + 3 * STUB,
        MILLI,
        needs=NEEDS,
    ),
    LabValue("lost", "The first question is lost?", "5,000 + 20", 5000 + STUB, MILLI, needs=NEEDS),
    LabValue(
        "missing",
        "A name that does not exist: at once, again, after 59 s, after 61 s?",
        "140, 0, 0, 60",
        [COLD, 0, 0, STUB + SERVER],
        MILLI,
        needs=NEEDS,
    ),
    LabValue(
        "counted",
        "The stub counts its identifiers, and a stranger answers first: how many of 20 lookups get the stranger's address?",
        "all",
        LOOKUPS,
        "lookups",
    ),
    HostValue(
        "dig",
        "The real dig asks for `big`, which has 100 addresses: how many does it print, and does it need TCP? (1 is yes)",
        "100, 1",
        [100, 1],
        "",
        needs="dns dig greenlet",
    ),
]


def measure(name: str) -> Any:
    """Measure one of VALUES."""
    if name == "dig":
        return tools.dug()
    if name == "counted":
        return believed(1, counted=True)
    big = "big.example.test"
    if name == "other":
        return lookups(web, after(1, "web.example.test", WEB))[1]
    if name == "lost":
        return lookups(web, after(2, "web.example.test", WEB, lose=True))[1]
    if name in ("big", "big cold"):
        return lookups(lambda: timed(big, None), after(2, big))[name == "big"]
    if name == "alias":
        return lookups(lambda: timed("alias.example.test", WEB))[0]
    if name in ("later", "missing"):
        return lookups(later if name == "later" else missing)[0]
    times, _, asked = lookups(lambda: [web(), web()])
    return asked if name == "asked" else times


CONTROLS = [
    LabControl(
        "A time to live of 0",
        LabValue("zero", "Three lookups", "140, 60, 60", [COLD, 60, 60], MILLI, needs=NEEDS),
    ),
    LabControl(
        "The identifiers are random, and the stranger guesses 50 times for each",
        LabValue("random", "Lookups that get the stranger's address", "20 * 50 / 65,536", LOOKUPS * GUESSES / 65_536, "lookups", 0.5),
    ),
]  # fmt: skip


def control(name: str) -> Any:
    """Measure a control."""
    if name == "random":
        return believed(GUESSES, counted=False)
    return lookups(lambda: [timed("zero.example.test", ["192.0.2.81"]) for _ in range(3)])[0]


LOOKS = [
    LabLook("A name is looked up from the root down", lambda: lookups(web), 'event.kind == "dns" and event.fields.action == "refer"', "ladder", needs=NEEDS),
]  # fmt: skip
