"""Grades RULES: the application, a stranger, a connection of the stranger that is open already, and port 22."""

import errno
from types import ModuleType

from pystack.labs.lab_25_database.experiment import CHAIN, MS, TRACK, R, World
from pystack.labs.values import WrongAnswer
from pystack.nft import RulesetError, read

SSH = 22
HINTS = [
    "Write down for each of the four packets, the application's SYN, a stranger's SYN, old data, and a SYN to port 22, what should happen to it.",
    "The first rule that decides wins. Which packets must be decided before the port alone decides?",
    "Accept what is established, then the application's address with the port, and then `reject with tcp reset` for the port. Leave the policy at accept.",
]
WRONG = {
    "wrong_drop.py": "A stranger waits for a timeout. Nobody answers its SYN, so it cannot know that it is not allowed.",
    "wrong_order.py": "The application gets a reset. Another rule decides before the one that accepts it.",
    "wrong_open.py": "A connection that was open when the rules were loaded does not go on. Which packets belong to it?",
    "wrong_policy.py": "Port 22 does not answer any more. Your rules should be about port 5432 only.",
}


def prepare() -> None:
    """Load the parser of nft's language, which reads its grammar from a file. A learner's file may not do that."""
    read("add table ip guard")


def check(answer: ModuleType) -> None:
    """Raise WrongAnswer unless the exercise is solved."""
    rules = getattr(answer, "RULES", None)
    if not isinstance(rules, str):
        raise WrongAnswer("Your file has no text `RULES`. Keep the names of the starter file.")
    world = World()
    net = world.net
    stranger = net.host("stranger", profile="lab")
    net.link(stranger, world.database, delay=R // 2, addrs=("10.0.1.3/24", "10.0.1.2/24"))
    stranger.route("default", via="10.0.1.2")
    world.database.nft(CHAIN.format(TRACK).replace("guard", "first"))
    world.listen(SSH)
    world.connect(stranger)  # for ARP
    _, _, old = world.connect(stranger)
    net.run(until=net.now + 100 * MS)
    try:
        world.database.nft(rules)
    except RulesetError as refusal:
        raise WrongAnswer(f"nft refuses your rules: {refusal}") from None
    if not world.passes(old):
        raise WrongAnswer(WRONG["wrong_open.py"])
    if world.connect(port=SSH)[0] or world.connect(stranger, SSH)[0]:
        raise WrongAnswer(WRONG["wrong_policy.py"])
    error, time, _ = world.connect()
    if error == errno.ECONNREFUSED:
        raise WrongAnswer(WRONG["wrong_order.py"])
    if error:
        raise WrongAnswer("The application waits for a timeout. Another rule decides before the one that accepts it.")
    error, time, _ = world.connect(stranger)
    if error == errno.ETIMEDOUT:
        raise WrongAnswer(WRONG["wrong_drop.py"])
    if (error, time) != (errno.ECONNREFUSED, R):
        result = errno.errorcode[error] if error else "a connection"
        raise WrongAnswer(
            f"A stranger has {result} after {time // MS} ms, and must have a reset (ECONNREFUSED) after {R // MS} ms."
        )
