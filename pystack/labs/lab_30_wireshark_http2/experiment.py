"""Three requests of HTTP/2 on one connection with TLS. What does a capture show, with and without the keys?"""

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from pystack.labs import tshark
from pystack.labs.lab_30_wireshark_http2 import solution
from pystack.labs.lab_30_wireshark_http2.ends import R, Run, network
from pystack.labs.looks import LabLook
from pystack.labs.values import LabControl, LabValue
from pystack.trace.keylog import inject

__all__ = ["CONTROLS", "VALUES", "control", "measure", "network", "write"]

LARGE = 100_000
WINDOW = 65_535  # what a sender may send before the first WINDOW_UPDATE (RFC 9113, section 6.9.2)
STREAMS = [1, 3, 5]
HEADERS, SETTINGS = 1, 4  # types of frames
CLIENT = "10.0.0.1"


@cache
def run(**how: Any) -> Run:
    """Return a run."""
    with tempfile.TemporaryDirectory() as folder:
        return Run(Path(folder), **how)


def damaged(keys: bytes) -> bytes:
    """Return the keys, where the last digit of each one is another one."""
    lines = [line for line in keys.splitlines() if not line.startswith(b"#")]
    return b"".join(line[:-1] + (b"0" if line[-1:] != b"0" else b"1") + b"\n" for line in lines)


def write(path: Path, keys: str = "right") -> None:
    """Write the client's capture with the keys, which may also be "wrong" or "none"."""
    with tempfile.TemporaryDirectory() as folder:
        Run(Path(folder))
        capture = Path(folder, "capture.pcapng")
        if keys == "none":
            path.write_bytes(capture.read_bytes())
        else:
            known = Path(folder, "keys").read_bytes()
            inject(str(capture), str(path), known if keys == "right" else damaged(known))


@cache
def found(expression: str, keys: str = "right") -> list[list[str]]:
    """Return the types and the streams of the HTTP/2 frames in what a display filter of Wireshark finds."""
    return tshark.ask(lambda path: write(path, keys), expression, "http2.type", "http2.streamid")


def requests() -> list[int]:
    """Return the streams of the client's HEADERS, by Wireshark."""
    rows = found(f"http2 && ip.src == {CLIENT}")
    pairs = [pair for types, streams in rows for pair in zip(types.split(","), streams.split(","))]
    return [int(stream) for kind, stream in pairs if kind == str(HEADERS)]


def own(kind: int) -> list[tuple[int, int, int, int]]:
    """Return the client's frames of a type, by pystack's own reading of what it sent before it was encrypted."""
    return [frame for frame in solution.frames(run().plain) if frame[0] == kind]


AGREED = f"http2.type == {SETTINGS} && http2.flags.ack.settings == 1"
OWN: dict[str, Any] = {"needs": "h2 openssl"}
NEEDS: dict[str, Any] = {"needs": "h2 openssl tshark"}
VALUES = [
    LabValue("hidden", "Without the keys: how many frames does `http2` find?", "0", 0, "frames", **NEEDS),
    LabValue("streams", "With them: on which streams are the three requests?", "odd ones", STREAMS, "", **NEEDS),
    LabValue("magic", "In how many frames is the preface (`http2.magic`)?", "1", 1, "frames", **NEEDS),
    LabValue("settings", "How many frames agree to the other side's settings?", "1 each way", 2, "frames", **NEEDS),
    LabValue("preface", "How many bytes does the preface have?", "24", 24, "bytes", **OWN),
    LabValue("own", "On which streams are the requests, by pystack's own reading?", "odd ones", STREAMS, "", **OWN),
    LabValue("time", "When does the client have all three answers?", "TCP R + TLS R + R", 3 * R, **OWN),
    LabValue("stalled", "100,000 bytes, without WINDOW_UPDATE: how many arrive?", "2^16 - 1", WINDOW, "bytes", **OWN),
    LabValue("updated", "With WINDOW_UPDATE: when are all there?", "3 R + R", 4 * R, **OWN),
]


def measure(name: str) -> Any:
    """Measure one of VALUES."""
    if name == "stalled":
        return run(size=LARGE, count=1, updates=False).got
    if name == "updated":
        one = run(size=LARGE, count=1)
        return one.time if one.got == LARGE else None
    return {
        "hidden": lambda: len(found("http2", "none")),
        "streams": requests,
        "magic": lambda: len(found("http2.magic")),
        "settings": lambda: len(found(AGREED)),
        "preface": lambda: run().plain.index(bytes([SETTINGS, 0]) + bytes(4)) - 3,
        "own": lambda: [stream for _, _, stream, _ in own(HEADERS)],
        "time": lambda: run().time,
    }[name]()


CONTROLS = [
    LabControl("The last digit of each key is wrong", LabValue("wrong", "Frames for `http2`", "0", 0, "frames", **NEEDS)),
    LabControl(
        "The client asks for the next answer when it has the last one",
        LabValue("turns", "Time of three answers", "2 R + 3 R", 5 * R, **OWN),
    ),
    LabControl(
        "An answer that fits in the window, without WINDOW_UPDATE",
        LabValue("fits", "Bytes that arrive", "65,000", 65_000, "bytes", **OWN),
    ),
]  # fmt: skip


def control(name: str) -> int:
    """Measure a control."""
    if name == "wrong":
        return len(found("http2", "wrong"))
    return run(together=False).time if name == "turns" else run(size=65_000, count=1, updates=False).got


LOOKS = [
    LabLook("TLS, and three requests at once", lambda: run.__wrapped__(), 'host == "b" and event.kind == "out" and event.fields.length > 500', "ladder", needs="h2 openssl"),
]  # fmt: skip
