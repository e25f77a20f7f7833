"""Grades the upload: the shop must have stored the right photos, and the critical path of the recording says where the time went."""

from types import ModuleType

from pystack.labs.judging import program
from pystack.labs.lab_36_post.world import CONNECTIONS, LOOKUP, PHOTOS, THINK, R, Uploaded, run, stored
from pystack.labs.values import WrongAnswer
from pystack.sim.network import MS

BUDGET = 300 * MS
HINTS = [
    "Run `pystack lab run 36`. For which of its causes is there one in your program? `pystack lab check 36` names the largest one that is left.",
    "What does not change from photo to photo need not be done for each photo: the address, and the connection. And 12 photos need not wait for each other.",
    "Look the name up once, start 4 programs, let each one open a connection and send 3 photos over it, each with one sendall(head + photo) and no setsockopt.",
]
WRONG = {
    "wrong_lookup.py": "You seem to look the name up again and again. The shop's address stays the same, so keep it.",
    "wrong_connection.py": "You seem to open a connection for each photo, with a handshake and a small congestion window each time. Keep connections open.",
    "wrong_writes.py": "The end of a photo waits for an acknowledgement: this is Nagle's algorithm. Write the head and the photo at once.",
    "wrong_buffer.py": "The send buffer is full, although the network would take more. It must have room for all that is on its way: leave its size to the system.",
    "wrong_sequential.py": "Most of the time, you wait for the answer to one photo before you send the next one. Use several connections at the same time.",
    "wrong_many.py": f"The shop has reset a connection, because it accepts {CONNECTIONS} of a phone at a time.",
    "wrong_twice.py": "The shop has stored a photo twice. A POST is not safe to repeat, so send each photo exactly once.",
}
#: file -> what is waited for on the path if the mistake of this file is made (see pystack.stepper.timing.causes)
WHYS = {
    "wrong_lookup.py": ("name lookup",),
    "wrong_connection.py": ("connection", "congestion window"),
    "wrong_writes.py": ("Nagle",),
    "wrong_buffer.py": ("send buffer", "receive window", "zero window", "silly window"),
    "wrong_sequential.py": ("",),
}


def parts(found: Uploaded) -> dict[str, int]:
    """Return the ns on the path for each file of WHYS."""
    totals = found.path().totals()
    return {file: sum(time for (_, why), time in totals.items() if why in whys) for file, whys in WHYS.items()}


#: the parts that nobody can avoid: a lookup, a handshake, a congestion window that has to grow once, and three photos on each connection
LEAST = dict.fromkeys(WHYS, 0) | {
    "wrong_lookup.py": LOOKUP,
    "wrong_connection.py": 2 * R,
    "wrong_sequential.py": len(PHOTOS) // CONNECTIONS * (R + THINK),
}


def check(answer: ModuleType) -> None:
    """Raise WrongAnswer unless the exercise is solved."""
    found = run(program(answer, "upload"))
    shop = found.shop
    if shop.refused:
        raise WrongAnswer(WRONG["wrong_many.py"])
    if shop.strange:
        raise WrongAnswer(
            "The shop got something that is no head of a request. Do two programs write to the same connection at the same time?"
        )
    if found.error:
        raise found.error
    stored_right(found)
    took = found.path().elapsed
    if took <= BUDGET:
        return
    more = {file: time - LEAST[file] for file, time in parts(found).items()}
    file = max(more, key=lambda one: more[one])
    raise WrongAnswer(
        f"{WRONG[file]} (the upload takes {took / MS:.0f} ms, and may take {BUDGET // MS} ms; this is the largest cause that is left, with {more[file] / MS:.0f} ms)"
    )


def stored_right(found: Uploaded) -> None:
    """Compare what the shop has stored, and the answers."""
    photos = found.shop.photos
    for number, photo in enumerate(PHOTOS):
        copies = photos.get(number, [])
        if len(copies) > 1:
            raise WrongAnswer(f"{WRONG['wrong_twice.py']} (photo {number} is there {len(copies)} times)")
        if copies != [photo]:
            raise WrongAnswer(
                f"The shop has {'other bytes' if copies else 'nothing'} for photo {number}. It must store what the phone has."
            )
    if found.answers != [stored(number) for number in range(len(PHOTOS))]:
        raise WrongAnswer(
            "`upload` must return the 12 answers of the shop, in the order of the photos. Does it wait for all of them?"
        )
