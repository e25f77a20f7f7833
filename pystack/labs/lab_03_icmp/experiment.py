"""Host A, two routers, host B: ping, and the requests of traceroute."""

import errno
from typing import Any

from pystack.labs.hosts import HostValue
from pystack.labs.lab_03_icmp import tools
from pystack.labs.looks import LabLook
from pystack.labs.values import LabControl, LabValue
from pystack.sim.programs import Program, raw, spawn
from pystack.testing.lab import MS, S
from pystack.testing.routed import RoutedChain, echo, ping
from pystack.testing.segments import OUTBOUND, ones

DELAYS = (5 * MS, 10 * MS, 20 * MS)
ECHO_REPLY, ECHO, ICMP = 0, 8, 1
R1 = bytes((10, 0, 0, 2))  # the address from which the first router sends its errors


def network() -> RoutedChain:
    """Build the network: a - r1 - r2 - b."""
    return RoutedChain([{"delay": delay} for delay in DELAYS])


def run(chain: RoutedChain, program: Program) -> Any:
    """Run a program to its end, and return its result."""
    proc = spawn(chain.net, program)
    chain.net.run_until(proc.finished, limit=chain.net.now + 100 * S)
    return proc.value


def one_ping() -> tuple[int, int, int]:
    """Return the round trip time (ns), the size of the frame, and the TTL at B."""
    chain = network()
    frames: list[bytes] = []
    chain.b.port().taps.append(lambda time, direction, frame: frames.append(frame))
    rtt, kind, _, _ = run(chain, ping(chain.a, chain.addr))
    assert kind == ECHO_REPLY
    return rtt, len(frames[0]), frames[0][22]


def traceroute(silent: bool = False) -> list[int]:
    """Return the times (ns) of the hops that answer. With `silent`, the first router sends nothing itself."""
    chain = network()
    if silent:
        chain.links[0].ba.drop_if(lambda frame: frame[26:30] == R1)
    answers = [run(chain, ping(chain.a, chain.addr, number=ttl, ttl=ttl)) for ttl in (1, 2, 3)]
    return [answer[0] for answer in answers if answer]


def last_hop() -> int:
    """Send three requests with the TTL of the last hop. Returns how many echo replies come."""
    chain = network()
    answers = [run(chain, ping(chain.a, chain.addr, number=number, ttl=3)) for number in range(3)]
    return sum(answer is not None and answer[1] == ECHO_REPLY for answer in answers)


def answers_of(kinds: list[int]) -> int:
    """Send 20 ICMP messages of each kind to B. Returns how many packets B sends."""
    chain = network()
    sock = raw(chain.a, ICMP)
    sent: list[bytes] = []
    chain.b.port().taps.append(lambda time, direction, frame: sent.append(frame) if direction == OUTBOUND else None)
    for kind in kinds:
        for number in range(20):
            message = bytes((kind, 0, 0, 0)) + echo(number)[4:]
            checksum = ones(message) ^ 0xFFFF
            sock.sendto(message[:2] + checksum.to_bytes(2, "big") + message[4:], chain.addr)
    chain.net.run(until=S)
    assert chain.b.counters.IcmpInMsgs == 20 * len(kinds) and not chain.b.counters.IcmpInCsumErrors
    return len(sent)


def passes(size: int) -> bool:
    """Return True if a ping with this much data passes without fragmentation."""
    chain = network()
    try:
        return bool(run(chain, ping(chain.a, chain.addr, size=size, df=True))[1] == ECHO_REPLY)
    except OSError as error:
        assert error.errno == errno.EMSGSIZE
        return False


VALUES = [
    LabValue("rtt", "How long does a ping take?", "2 (5 + 10 + 20) ms", 2 * sum(DELAYS)),
    LabValue("frame", "How many bytes does its frame have?", "14 + 20 + 8 + 56", 98, "bytes"),
    LabValue("ttl", "Which TTL does the request have at B?", "64 - 2", 62, ""),
    LabValue("hops", "Which three times does traceroute show?", "2 * 5, 2 * 15, 2 * 35", [10 * MS, 30 * MS, 70 * MS]),
    LabValue("last", "Three requests with a TTL of 3: how many does B answer?", "all: 3 links", 3, "replies"),
    LabValue("errors", "B gets 100 ICMP errors. How many packets does it send?", "none", 0, "packets"),
    LabValue("largest", "Which is the largest ping that passes unfragmented?", "1500 - 20 - 8", 1472, "bytes"),
    HostValue("traced", "The real traceroute: which third byte does the address in each line have?", "0, 1, 2", [0, 1, 2], "", needs="traceroute"),
    HostValue("whole", "The real ping, 1,472 and 1,473 bytes, unfragmented: how many replies does each get?", "1, 0", [1, 0], "replies", needs="ping"),
]  # fmt: skip


def measure(name: str) -> Any:
    """Measure one of VALUES."""
    if name in ("traced", "whole"):
        return tools.traced() if name == "traced" else tools.unfragmented()
    if name == "hops":
        return traceroute()
    if name == "last":
        return last_hop()
    if name == "errors":
        return answers_of([3, 4, 5, 11, 12])
    if name == "largest":
        return max(size for size in range(1460, 1480) if passes(size))
    return one_ping()[("rtt", "frame", "ttl").index(name)]


CONTROLS = [
    LabControl(
        "The first router sends no errors: its line is a star, and the others stay",
        LabValue("silent", "The other two times", "2 * 15, 2 * 35", [30 * MS, 70 * MS]),
    ),
    LabControl("Echo requests instead of errors", LabValue("echo", "Packets that B sends", "20", 20, "packets")),
]


def control(name: str) -> Any:
    """Measure a control."""
    return traceroute(silent=True) if name == "silent" else answers_of([ECHO])


LOOKS = [
    LabLook("Traceroute: the routers answer for packets whose TTL ends", traceroute, 'event.kind == "icmp.out" and event.fields.type == 11', "ladder"),
]  # fmt: skip
