"""Grades `frames` with streams of both sides."""

from types import ModuleType

from pystack.labs.judging import compare
from pystack.labs.lab_30_wireshark_http2 import solution

HINTS = [
    "How far is it from the beginning of a frame to the beginning of the next one?",
    "Skip the preface if it is there. Then read nine bytes, and go on nine bytes and the length further, while a whole frame is left.",
    '`int.from_bytes(data[:3], "big")` is the length, and `int.from_bytes(data[5:9], "big") & 0x7FFFFFFF` the stream.',
]
WRONG = {
    "wrong_preface.py": "You seem to read the client's preface as a frame. Skip it if it is there.",
    "wrong_short.py": "A long frame is read wrongly. The length has three bytes, and the first one is not always 0.",
    "wrong_reserved.py": "A stream has a very large number. Its highest bit is reserved: leave it out.",
    "wrong_flags.py": "The type and the flags are exchanged. The type comes first.",
    "wrong_cut.py": "The last frame is cut off, and you count it. Wait until it is whole.",
    "wrong_header.py": "You seem to count the nine bytes of the header as a part of the length. They come in addition.",
}


def frame(kind: int, flags: int, stream: int, length: int) -> bytes:
    """Return a frame."""
    return length.to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + bytes(length)


SETTINGS, AGREED, DATA = frame(4, 0, 0, 18), frame(4, 1, 0, 0), frame(0, 1, 5, 1000)
CASES: list[tuple[bytes]] = [
    (SETTINGS,),
    (solution.PREFACE + SETTINGS + frame(1, 5, 1, 30),),
    (solution.PREFACE,),
    (b"",),
    (AGREED + frame(1, 4, 300, 12) + DATA,),
    (frame(8, 0, 1 << 31 | 7, 4) + DATA,),
    (frame(0, 0, 3, 70_000) + AGREED,),
    (SETTINGS + DATA[:-1],),
    (SETTINGS + DATA[:5],),
]


def words(data: bytes) -> str:
    """Describe a case."""
    return f"`frames({data!r})`" if len(data) < 60 else f"A stream of {len(data):,} bytes"


def check(answer: ModuleType) -> None:
    """Raise WrongAnswer unless the exercise is solved."""
    compare(answer, "frames", CASES, solution.frames, WRONG, __package__, say=words)
