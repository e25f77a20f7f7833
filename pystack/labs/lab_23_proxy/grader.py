"""Grades `forward` with requests of browsers, of other proxies, and of strange clients."""

from types import ModuleType

from pystack.labs.judging import compare
from pystack.labs.lab_23_proxy import solution

HINTS = [
    "Which fields are about the connection to the proxy, and which about the request?",
    "Go through the fields once to collect what Connection names and the earlier X-Forwarded-For. Compare names with `.lower()`.",
    "Leave out every name of that set, and then add one X-Forwarded-For: the earlier values in their order, and the client's address as the last one.",
]
WRONG = {
    "wrong_trust.py": "The addresses that earlier proxies have written are lost. Keep them, in front of the client's.",
    "wrong_named.py": "A field that Connection names has passed. It is for this connection only, as Connection itself.",
    "wrong_case.py": "Names of fields are the same in any case: `connection` is Connection. Compare them in lower case.",
    "wrong_first.py": "The order is wrong: each proxy adds the address that it has seen at the end of the list.",
}
HOST, TEXT = ("Host", "www.example.com"), ("Accept", "text/html")
CASES = [
    ([HOST, TEXT], "192.0.2.1"),
    ([HOST, ("Connection", "keep-alive"), ("Keep-Alive", "timeout=5"), TEXT], "192.0.2.1"),
    ([HOST, ("Connection", "close, X-Trace"), ("X-Trace", "7"), TEXT], "192.0.2.2"),
    ([("host", "a"), ("connection", "X-Secret ,upgrade"), ("x-secret", "1"), ("UPGRADE", "websocket")], "192.0.2.3"),
    ([HOST, ("X-Forwarded-For", "198.51.100.7"), TEXT], "192.0.2.4"),
    ([("x-forwarded-for", "198.51.100.7, 10.0.0.1"), HOST, ("X-FORWARDED-FOR", "10.0.0.2")], "192.0.2.5"),
    ([], "192.0.2.6"),
]


def check(answer: ModuleType) -> None:
    """Raise WrongAnswer unless the exercise is solved."""
    compare(answer, "forward", CASES, solution.forward, WRONG, __package__)
