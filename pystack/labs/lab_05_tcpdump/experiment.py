"""A client fetches 10,000 bytes, and both sides capture the frames."""

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pystack_c.const as C
from pystack import bpf
from pystack.labs.looks import LabLook
from pystack.labs.values import LabControl, LabValue
from pystack.phy.match import is_data
from pystack.testing.lab import MS, Lab, lab_net
from pystack.testing.segments import decode
from pystack.trace.pcapng import OUTBOUND, CapturedFrame, read

DELAY = 25 * MS
LENGTH = "(ip[2:2] - ((ip[0]&0xf)<<2) - ((tcp[12]&0xf0)>>2)) != 0"
FILTERS = {
    "syn": "tcp[13]&2!=0",
    "fin": "tcp[13]&1!=0",
    "rst": "tcp[13]&4!=0",
    "from server": f"tcp and src port 80 and {LENGTH}",
    "from client": f"tcp and dst port 80 and {LENGTH}",
}


def network() -> Lab:
    """Build the network: a client `a` and a server `b`, 25 ms apart each way."""
    return lab_net(DELAY)


def fetch(folder: str, drop: int = 0) -> list[str]:
    """Fetch 10,000 bytes. Returns the capture of the server and that of the client. `drop` is the number of a lost data segment."""
    lab = network()
    paths = [str(Path(folder) / name) for name in ("server.pcapng", "client.pcapng")]
    for path, host in zip(paths, (lab.b, lab.a)):
        lab.net.capture(path, host.port())
    if drop:
        lab.link.ba.drop(drop, match=is_data)
    listener = lab.listener()

    def serve():
        sock = yield listener.accept()
        yield sock.recv_exactly(100)
        yield sock.sendall(bytes(10_000))
        sock.close()

    def get():
        sock = yield from lab.client()
        yield sock.sendall(bytes(100))
        yield sock.recv_all()
        sock.close()

    lab.run(serve(), get())
    lab.net.run_until_idle()
    lab.net.close()
    return paths


def recorded() -> None:
    """Fetch the file in a folder of its own, so that the run can be recorded."""
    with tempfile.TemporaryDirectory() as folder:
        fetch(folder)


def count(path: str, expression: str) -> int:
    """Return how many frames of a capture match."""
    matches = bpf.matcher(expression)
    return sum(matches(frame.data, C.LINK_ETHERNET) for frame in read(path))


def tcpdump(path: str, expression: str) -> int:
    """Return how many frames the real tcpdump shows."""
    command = ["tcpdump", "-nn", "-r", path, expression]
    return len(subprocess.run(command, capture_output=True, check=True, timeout=30).stdout.splitlines())


def sizes(path: str) -> list[int]:
    """Return how much data each data frame of a capture has that is from port 80."""
    segments = [decode(frame.data[14:]) for frame in read(path)]
    return [len(seg) for seg in segments if seg is not None and seg.sport == 80 and len(seg)]


def shifts(server: str, client: str) -> Iterator[int]:
    """Yield the time (ns) between the two records of each frame, which must be the same frames."""
    ours, theirs = list(read(server)), list(read(client))
    for sender, receiver in ((ours, theirs), (theirs, ours)):
        sent = [frame for frame in sender if frame.direction == OUTBOUND]
        got = [frame for frame in receiver if frame.direction != OUTBOUND]
        assert [frame.data for frame in sent] == [frame.data for frame in got] and len(sent) > 4
        yield from (late(one, other) for one, other in zip(sent, got))


def late(sent: CapturedFrame, got: CapturedFrame) -> int:
    """Return how much later the second record is."""
    return got.time - sent.time


VALUES = [
    LabValue("flags", "How many frames have SYN, FIN, RST?", "2, 2, 0", [2, 2, 0], "frames", needs="cypcap"),
    LabValue("server", "Data frames from the server?", "10,000 / 1,460, rounded up", 7, "frames", needs="cypcap"),
    LabValue(
        "sizes",
        "How many bytes of data does the first of them have, and the last?",
        "1,460, 10,000 - 6 * 1,460",
        [1460, 1240],
        "bytes",
    ),
    LabValue("client", "Data frames from the client?", "1", 1, "frames", needs="cypcap"),
    LabValue("shift", "How much later is each frame in the receiver's capture?", "d", DELAY),
    LabValue(
        "tcpdump",
        "In how many of these counts does the real tcpdump differ, in either capture?",
        "none",
        0,
        "counts",
        needs="cypcap tcpdump",
    ),
]


def measure(name: str) -> Any:
    """Measure one of VALUES."""
    with tempfile.TemporaryDirectory() as folder:
        paths = fetch(folder)
        if name == "shift":
            times = sorted(set(shifts(*paths)))
            return times[0] if len(times) == 1 else times
        if name == "sizes":
            found = sizes(paths[0])
            return [*sorted(set(found[:-1])), found[-1]]
        if name == "tcpdump":
            pairs = [(path, expression) for path in paths for expression in FILTERS.values()]
            return sum(count(*pair) != tcpdump(*pair) for pair in pairs)
        if name == "flags":
            return [count(paths[0], FILTERS[flag]) for flag in ("syn", "fin", "rst")]
        return count(paths[0], FILTERS[f"from {name}"])


CONTROLS = [
    LabControl(
        "The network loses the third data segment",
        LabValue("lost", "Data frames in both captures", "7 + 1, 7", [8, 7], "frames", needs="cypcap"),
    )
]


def control(name: str) -> list[int]:
    """Measure the control."""
    with tempfile.TemporaryDirectory() as folder:
        return [count(path, FILTERS["from server"]) for path in fetch(folder, drop=3)]


LOOKS = [
    LabLook("A request, and 10,000 bytes as the answer", recorded, 'host == "b" and event.kind == "out" and event.fields.length > 1000', "ladder"),
]  # fmt: skip
