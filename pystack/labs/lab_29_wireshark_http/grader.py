"""Grades `answers` with streams of all four kinds of bodies, and with those of the experiment."""

from types import ModuleType

from pystack.labs.judging import compare
from pystack.labs.lab_29_wireshark_http import solution
from pystack.labs.lab_29_wireshark_http.experiment import run

HINTS = [
    "A body may have any bytes, also those of a status line. What says where it ends?",
    "Take the answers off the stream one after the other: the head up to the empty line, then the body by the first rule that fits.",
    '`head, _, stream = stream.partition(b"\\r\\n\\r\\n")`. Then no body, or chunks with `int(text, 16)`, or `stream[:size]`, or everything.',
]
WRONG = {
    "wrong_case.py": "A field in small letters is not found. The names of fields may be in capital or small letters.",
    "wrong_head.py": "An answer to HEAD has the fields of the answer to GET, also Content-Length, but no body. The next answer follows at once.",
    "wrong_status.py": "An answer with the status 204 or 304 has no body, even if it has a Content-Length. The next answer follows at once.",
    "wrong_decimal.py": "The size of a chunk is hexadecimal: 1a is 26, and 10 is 16.",
    "wrong_close.py": "An answer has neither a length nor chunks, and you give it no body. Its body is all that follows until the connection ends.",
}


def text(status: int, body: bytes, *fields: bytes) -> bytes:
    """Return an answer."""
    return b"\r\n".join([b"HTTP/1.1 %d Well" % status, *fields, b"", body])


CASES: list[tuple[bytes, list[str]]] = [
    (text(200, b"hello", b"Content-Length: 5"), ["GET"]),
    (text(200, b"one", b"Content-Length: 3") + text(404, b"", b"Content-Length: 0"), ["GET", "GET"]),
    (text(200, b"a\r\n\r\nHTTP/1.1 200 Well\r\n\r\n", b"Content-Length: 26"), ["GET"]),
    (text(200, b"", b"Content-Length: 70") + text(200, b"two", b"Content-Length: 3"), ["HEAD", "GET"]),
    (text(304, b"", b"Content-Length: 90") + text(204, b"") + text(200, b"x", b"Content-Length: 1"), ["GET", "PUT", "GET"]),
    (text(200, b"five!", b"content-length:5") + text(200, b"2\r\nab\r\n0\r\n\r\n", b"TRANSFER-ENCODING: chunked"), ["GET", "GET"]),
    (text(200, b"10\r\n" + b"z" * 16 + b"\r\n3\r\na\r\n\r\n0\r\n\r\n", b"Transfer-Encoding: chunked") + text(201, b""), ["GET", "POST"]),
    (text(200, b"to the end", b"Server: old"), ["GET"]),
]  # fmt: skip


def cases() -> list[tuple[bytes, list[str]]]:
    """Return the cases."""
    return [*CASES, *((stream, ["GET"] * 10) for stream in run(True).streams)]


def words(stream: bytes, methods: list[str]) -> str:
    """Describe a case."""
    return f"`answers({stream!r}, {methods})`" if len(stream) < 200 else f"A stream with {len(methods)} answers"


def check(answer: ModuleType) -> None:
    """Raise WrongAnswer unless the exercise is solved."""
    compare(answer, "answers", cases(), solution.answers, WRONG, __package__, say=words)
