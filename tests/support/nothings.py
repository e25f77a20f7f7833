"""Calls every function and method that the .pxd files declare with None, and with something else, where an object is due.

`python -m tests.support.nothings`: the calls in a process of its own, for the wrong one may end it. Prints the number of calls, and a
line for each that was not refused.
"""

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pystack  # noqa: F401
from pystack_c.base.fifo import Fifo
from pystack_c.base.siphash import SipHash
from pystack_c.base.timer import Timer, TimerQueue
from pystack_c.counters import Counters
from pystack_c.filter.cbpf import Program
from pystack_c.packet import Packet, Transmit
from pystack_c.route import RouteTable
from pystack_c.services.base import DatagramService, Service, StreamService
from pystack_c.services.hello import Hello
from pystack_c.services.session import Session
from pystack_c.services.streams import Chargen, ChargenDatagram, Discard, DiscardDatagram, Echo, EchoDatagram
from pystack_c.sockets.raw import raw_open
from pystack_c.sockets.record import Datagram
from pystack_c.sockets.udp import udp_open
from pystack_c.stack import Stack
from pystack_c.tcp import user
from pystack_c.tcp.congestion.base import CongestionControl, create
from pystack_c.tcp.loss.sackranges import SackRange, SackRanges
from pystack_c.tcp.loss.scoreboard import Scoreboard
from pystack_c.tcp.loss.seglists import SegHeap, SegList
from pystack_c.tcp.opening.listener import Listener
from pystack_c.tcp.queues.pieces import Piece, Run
from pystack_c.tcp.queues.rtxq import RtxQueue
from pystack_c.tcp.queues.sentseg import SentSegment

ROOT = Path(__file__).parents[2]
FUNCTION = re.compile(r"^(\s*)cpdef\s+(?:[^(=]*?[\s*])?([A-Za-z_]\w*)\s*\((.*)\)[^()]*$")
CLASS = re.compile(r"^cdef class (\w+)", re.M)
#: C types, and object, which may be anything
PLAIN = {"int", "bint", "int64_t", "uint32_t", "uint64_t", "Py_ssize_t", "double", "object", "float", "char"}


def samples() -> dict[str, Any]:
    """An object of each type that arguments have."""
    stack = Stack(1, None, "host")
    iface = stack.iface("lo")
    tcb = user.tcp_open(stack, 0)
    udp, raw = udp_open(stack, 0), raw_open(stack, 89, 0)
    timer = Timer(tcb, 0)
    made = [stack, stack.config, stack.timers, iface, tcb, udp, raw, timer, Packet(), Counters(), Fifo(), tcb.sendbuf]
    made += [tcb.recvbuf, RtxQueue(), SentSegment(0, 1, 0), Listener(1), TimerQueue(), stack.tcp, stack.rng]
    made += [Run(0, Piece(b"x", 0, 1)), SackRanges(), SackRange(0, 1, 1), SegList(), SegHeap(), Scoreboard(0)]
    made += [Transmit(iface, b"", None), "", b"", [], {}, (), bytearray(64)]
    made += [RouteTable(), stack.udp, SipHash(bytes(16)), Piece(b"", 0, 0), Datagram(b"", 0, 0, 0, iface, 0, 0)]
    made += [create(name) for name in ("reno", "cubic", "bbr", "tahoe", "fixed(4)")]
    made += [CongestionControl(), *(kind(1) for kind in (StreamService, Hello, Echo, Discard, Chargen))]
    made += [Session(StreamService(1), tcb, 0), Program(b"\x06" + bytes(7))]
    made += [kind() for kind in (Service, DatagramService, EchoDatagram, DiscardDatagram, ChargenDatagram)]
    found = {type(thing).__name__: thing for thing in made}
    found |= {"Core": stack, "Endpoint": tcb, "DatagramSocket": udp, "TimerOwner": tcb, "TcpTables": stack.tcp}
    return found


def declared(path: Path) -> Iterator[tuple[str, str, list[tuple[str, bool]]]]:
    """(class or "", name, [(type of the argument, has a default)]) for each that Python can call."""
    inside = ""
    for line in path.read_text().splitlines():
        if match := CLASS.match(line):
            inside = match[1]
        if match := FUNCTION.match(line):
            indent, name, text = match.groups()
            words = [arg.strip() for arg in text.split(",") if arg.strip() and arg.strip() != "self"]
            args = [(word.split("=")[0].split()[0] if " " in word else "object", "=" in word) for word in words]
            yield inside if indent else "", name, args


def calls(package: str, pattern: str) -> Iterator[tuple[str, Any, list[Any]]]:
    """(text, function, arguments): each argument that is an object in its turn is None, then something else."""
    known = samples()
    for path in sorted((ROOT / package).glob(pattern)):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        if not path.with_suffix(".py").exists() or path.stem in ("__init__", "const"):
            continue
        module = importlib.import_module(name)
        for owner, function, args in declared(path):
            holder = module if not owner else known.get(owner)
            target = getattr(holder, function, None)
            if target is None:
                continue
            right = [known.get(kind, 0) for kind, _ in args]
            for at, (kind, default) in enumerate(args):
                if kind in PLAIN or default:
                    continue
                for wrong in (None, object()):
                    given = [*right[:at], wrong, *right[at + 1 :]]
                    yield f"{name}.{owner or ''}{'.' if owner else ''}{function} {kind} {wrong!r}", target, given


def make(package: str, pattern: str) -> int:
    """Every class is made of nothing but None, up to six of it: refused or not, it must come back. How many were tried."""
    count = 0
    for path in sorted((ROOT / package).glob(pattern)):
        if not path.with_suffix(".py").exists() or path.stem == "__init__":
            continue
        module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
        for name in CLASS.findall(path.read_text()):
            for number in range(7):
                print(f"{module.__name__}.{name}({'None, ' * number})", file=sys.stderr, flush=True)
                count += 1
                try:
                    getattr(module, name)(*[None] * number)
                except (TypeError, AttributeError):
                    continue
    return count


def main(package: str, pattern: str) -> None:
    """Make the calls."""
    count = make(package, pattern)
    for text, target, args in calls(package, pattern):
        print(text, file=sys.stderr, flush=True)  # (the last line tells where it ended)
        count += 1
        try:
            target(*args)
        except TypeError:
            continue
        except Exception as exc:
            print(f"{text}: {exc!r}")
        else:
            print(f"{text}: taken")
    print(count)


if __name__ == "__main__":
    main(*sys.argv[1:])
