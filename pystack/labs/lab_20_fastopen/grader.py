"""Grades `syn`: a client that asks, one that has a cookie, and attackers."""

import hashlib
from types import ModuleType
from typing import Any

from pystack.labs.judging import function, shown
from pystack.labs.values import WrongAnswer

SECRETS = (b"a secret of 16 B", b"the other secret")
ALICE, BOB = "192.0.2.1", "198.51.100.7"
DATA = b"GET / HTTP/1.1\r\n\r\n"
HINTS = [
    "Who can have written the address of a SYN, and what proves that the client really is there?",
    "There are four cases: no option, an empty option, the right cookie, and a wrong one. Write down both results for each.",
    "Compute `keyed(secret, address)`, and compare the option with it. Data pass only if they are equal. If they differ, b'' and this cookie are the results.",
]
WRONG = {
    "wrong_early.py": "Data of a client that only asks for a cookie reach the program. Nothing proves yet that the client is at its address.",
    "wrong_any.py": "An invented cookie opens the door. Compare it with the one that this address has got.",
    "wrong_same.py": "A cookie of one client opens the door for another address. An attacker asks for one, and then writes any address into its SYNs.",
    "wrong_open.py": "An attacker can compute the cookie of any address. It must depend on the secret.",
    "wrong_again.py": "A client with the right cookie gets an option, too. It has its cookie already, so the SYN-ACK needs none: return None.",
    "wrong_table.py": "A client that asks twice gets two cookies. Keep no table: compute the cookie from the secret and the address, so that it is the same each time.",
    "wrong_silent.py": "A client with a wrong cookie gets no good one, so each of its requests takes 2 R for ever. The server may have a new secret.",
}


def check(answer: ModuleType) -> None:
    """Raise WrongAnswer unless the exercise is solved."""
    syn = function(answer, "syn")

    def ask(address: str, option: bytes | None, secret: bytes = SECRETS[0]) -> Any:
        found = syn(secret, address, option, DATA)
        if not isinstance(found, list | tuple) or len(found) != 2:
            raise WrongAnswer(f"`syn` returned {shown(found)}, and should return two things: data and an option.")
        return tuple(found)

    data, option = ask(ALICE, None)
    if data or option is not None:
        raise WrongAnswer("A client without the option gets no option, and its data wait for the handshake.")
    data, cookie = ask(ALICE, b"")
    if data:
        raise WrongAnswer(WRONG["wrong_early.py"])
    if not isinstance(cookie, bytes) or len(cookie) != 8:
        raise WrongAnswer(f"A client that asks gets {shown(cookie)} instead of a cookie of 8 bytes.")
    if ask(ALICE, b"")[1] != cookie:
        raise WrongAnswer(WRONG["wrong_table.py"])
    attacks(ask, cookie)
    for _ in range(2):
        data, option = ask(ALICE, cookie)
        if data != DATA:
            raise WrongAnswer(
                "A client comes back with the cookie that it has got, and its data do not reach the program."
            )
        if option is not None:
            raise WrongAnswer(WRONG["wrong_again.py"])


def attacks(ask: Any, cookie: bytes) -> None:
    """Try to get data through with cookies that are not the address's own."""
    if ask(ALICE, bytes(8))[0] or ask(ALICE, cookie[:4])[0] or ask(ALICE, bytes([cookie[0] ^ 1]) + cookie[1:])[0]:
        raise WrongAnswer(WRONG["wrong_any.py"])
    if ask(BOB, cookie)[0]:
        raise WrongAnswer(WRONG["wrong_same.py"])
    if ask(ALICE, b"", SECRETS[1])[1] == cookie or hashlib.sha256(ALICE.encode()).digest()[:8] == cookie:
        raise WrongAnswer(WRONG["wrong_open.py"])
    if ask(BOB, cookie) != (b"", ask(BOB, b"")[1]):
        raise WrongAnswer(WRONG["wrong_silent.py"])
