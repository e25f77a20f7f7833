"""A stranger answers faster than the resolver, in the resolver's name, and has to guess the identifier of each question."""

import random

from pystack.labs.lab_14_dns.zones import build
from pystack.sim.programs import datagram, spawn
from pystack.testing.lab import MS, S, sleep

RESOLVER, PORT, STUB_PORT = "10.0.0.53", 53, 5353
TRUE, FALSE = b"192.0.2.80", b"192.0.2.66"
LOOKUPS, GUESSES = 20, 50


def believed(guesses: int, counted: bool) -> int:
    """Look a name up 20 times, with identifiers that are counted, or random. The stranger sends so many answers each time.

    Returns how many of the lookups get the stranger's address. The stranger knows when the stub asks, and from which port.
    """
    net = build()
    stub, stranger, resolver = (net.hosts[name] for name in ("stub", "other", "resolver"))
    stranger.addr(f"{RESOLVER}/32")  # anybody can write any source into a packet
    asking, forging, serving = datagram(stub), datagram(stranger), datagram(resolver)
    asking.bind("", STUB_PORT)
    forging.bind(RESOLVER, PORT)
    serving.bind("", PORT)
    secret, guessing = random.Random(1), random.Random(2)
    identifiers = [number if counted else secret.randrange(1 << 16) for number in range(LOOKUPS)]

    def ask():
        wrong = 0
        for number in identifiers:
            asking.sendto(number.to_bytes(2, "big"), RESOLVER, PORT)
            while True:
                got = yield asking.recvfrom()
                if got.data[:2] == number.to_bytes(2, "big"):
                    break
            wrong += got.data[2:] == FALSE
            yield sleep(S - net.now % S)  # a lookup each second
        return wrong

    def serve():
        while True:
            got = yield serving.recvfrom()
            serving.sendto(got.data + TRUE, "10.0.0.2", STUB_PORT)

    def forge():
        for number in range(LOOKUPS):
            yield sleep(5 * MS)  # on its way for 10 ms, so it is there before the answer, which needs 20 ms
            tries = [number] if counted else guessing.sample(range(1 << 16), guesses)
            for guess in tries:
                forging.sendto(guess.to_bytes(2, "big") + FALSE, "10.0.0.2", STUB_PORT)
            yield sleep(S - net.now % S)

    spawn(net, serve())
    spawn(net, forge())
    proc = spawn(net, ask())
    net.run_until(proc.finished, limit=2 * LOOKUPS * S)
    found: int = proc.value
    return found
