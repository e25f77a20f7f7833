"""Ten datagrams go to an open port and one to a closed port, and a capture shows it."""

import io
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from pystack.labs import tshark
from pystack.labs.looks import LabLook
from pystack.labs.values import LabControl, LabValue
from pystack.sim.network import MS, Network, S
from pystack.sim.programs import datagram
from pystack.trace.pcapng import PcapngReader

A, B = "10.0.0.1", "10.0.0.2"
OPEN, CLOSED, COUNT = 9, 10, 10
UDP, ICMP, UNREACHABLE = 17, 1, 3
AT_A = "frame.interface_name == a:eth0 && "
NEEDS: dict[str, Any] = {"needs": "tshark"}


def network() -> Network:
    """Build the network: hosts `a` and `b`."""
    net = Network()
    net.link(net.host("a"), net.host("b"), addrs=(f"{A}/24", f"{B}/24"), delay=MS)
    net.introduce()
    return net


def send(net: Network, ports: tuple[int, ...]) -> None:
    """Send ten datagrams to the open port and one to the closed one. `b` listens on `ports`."""
    for port in ports:
        datagram(net.hosts["b"]).bind("", port)
    sock = datagram(net.hosts["a"])
    for port in [OPEN] * COUNT + [CLOSED]:
        sock.sendto(b"hello", B, port)
    net.run(S)


def write(path: Path, ports: tuple[int, ...] = (OPEN,)) -> None:
    """Write the capture of both hosts, with what the stacks decided."""
    with network() as net:
        net.annotated_capture(str(path))
        send(net, ports)


def frames_of_capture() -> list[Any]:
    """Read the capture without tshark."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "capture.pcapng"
        write(path)
        return list(PcapngReader(io.BytesIO(path.read_bytes())))


def quoted() -> int:
    """Return how many of the first 28 bytes of the datagram to the closed port, as b got them, the error has behind its own 8 bytes."""
    data = [frame.data for frame in frames_of_capture() if frame.interface.name == "b:eth0"]
    offender = next(one[14:42] for one in data if one[23] == UDP and one[36:38] == CLOSED.to_bytes(2, "big"))
    error = next(one[42:70] for one in data if one[23] == ICMP)
    return sum(one == other for one, other in zip(offender, error))


def own_reading() -> list[int]:
    """Read the capture without tshark. Returns the datagrams and the errors at host a, and the frames with the reason of a drop."""
    frames = frames_of_capture()
    at_a = [frame.data for frame in frames if frame.interface.name == "a:eth0"]
    errors = [data for data in at_a if data[23] == ICMP and data[34] == UNREACHABLE]
    drops = [frame for frame in frames if any("DROPPED" in comment for comment in frame.comments)]
    return [sum(data[23] == UDP for data in at_a), len(errors), len(drops)]


def ask(expression: str, *names: str, ports: tuple[int, ...] = (OPEN,)) -> list[list[str]]:
    """Ask tshark about the capture."""
    return tshark.ask(partial(write, ports=ports), expression, *names)


VALUES = [
    LabValue("udp", "`udp && !icmp` at a: how many frames?", "10 + 1", COUNT + 1, "frames", **NEEDS),
    LabValue("icmp", "`icmp.type == 3` at a: how many?", "1", 1, "frames", **NEEDS),
    LabValue("offender", "Which UDP port does the header in the error name?", "the closed one", CLOSED, "", **NEEDS),
    LabValue("quoted", "How many of the first 28 bytes of this datagram's packet are in the error?", "20 + 8", 28, "bytes"),
    LabValue("interfaces", "How many interfaces does the capture have?", "2", 2, "interfaces", **NEEDS),
    LabValue("dropped", "How many frames have a comment with the reason of a drop?", "1", 1, "frames", **NEEDS),
    LabValue("own", "Datagrams at a, errors at a, drops, as pystack reads them?", "11, 1, 1", [COUNT + 1, 1, 1], "frames"),
]  # fmt: skip


def measure(name: str) -> Any:
    """Measure one of VALUES."""
    if name in ("own", "quoted"):
        return own_reading() if name == "own" else quoted()
    if name == "interfaces":
        return len({interface for (interface,) in ask("frame", "frame.interface_name")})
    if name == "dropped":
        found = ask("frame.comment contains DROPPED", "frame.comment")
        return sum("udp-no-port" in comment for (comment,) in found)
    if name == "offender":
        ((port,),) = ask(AT_A + "icmp.type == 3", "udp.dstport")
        return int(port)
    return len(ask(AT_A + ("udp && !icmp" if name == "udp" else "icmp.type == 3 && icmp.code == 3")))


CONTROLS = [
    LabControl("Both ports are open", LabValue("open", "`icmp` at a: how many frames", "0", 0, "frames", **NEEDS)),
    LabControl(
        "Both ports are open", LabValue("no drop", "Frames with the reason of a drop", "0", 0, "frames", **NEEDS)
    ),
]


def control(name: str) -> int:
    """Measure a control."""
    return len(ask(AT_A + "icmp" if name == "open" else "frame.comment contains DROPPED", ports=(OPEN, CLOSED)))


LOOKS = [
    LabLook("Ten datagrams to an open port, and one to a closed one", lambda: send(network(), (OPEN,)), 'event.kind == "drop"', "ladder"),
]  # fmt: skip
