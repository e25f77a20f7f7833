"""Grades `receive` with the ARP packets that the hosts of the network get, and compares its replies with theirs."""

from types import ModuleType
from typing import Any

from pystack.labs.judging import compare
from pystack.labs.lab_04_arp import solution
from pystack.labs.lab_04_arp.experiment import VIP, S, give_up, network, run, take_over
from pystack.labs.values import WrongAnswer
from pystack.phy.match import is_arp
from pystack.sim.network import Network
from pystack.testing.routed import ping
from pystack.testing.segments import OUTBOUND

HINTS = [
    "Run `pystack lab run 4`. What must A do with a question of C about C's own address?",
    "There are three steps: change an entry that exists, learn the sender if the packet is about you, and answer if it is a request.",
    "The cache changes if `sender_ip in cache or target_ip == own_ip`. There is a reply if `request and target_ip == own_ip`.",
]
WRONG = {
    "wrong_everybody.py": "Your cache has senders that this host never talks to. A new sender enters it only if the packet is about the own address.",
    "wrong_stale.py": "Your cache keeps the old station after an address has moved. A known sender changes, whatever the packet is about.",
    "wrong_reply.py": "Your host answers a reply. Two such hosts would never stop: only a request gets an answer.",
    "wrong_owner.py": "Your host answers for an address that is not its own. The traffic of the owner would come to it.",
}

Packet = tuple[bool, bytes, bytes, bytes]


def traffic() -> dict[str, list[tuple[Packet, Any]]]:
    """Return for each host the packets that it gets, each with the station to which the host itself replies at once, or None."""
    net = network()
    heard: dict[str, list[list[Any]]] = {name: [] for name in "abc"}

    def watch(name: str) -> None:
        def tap(time: int, direction: int, frame: bytes) -> None:
            if not is_arp(frame):
                return
            request, sender = frame[21] == 1, (frame[28:32], frame[22:28])
            if direction != OUTBOUND:
                heard[name].append([(request, *sender, frame[38:42]), None])
            elif not request:
                heard[name][-1][1] = (frame[38:42], frame[32:38])

        net.hosts[name].port().taps.append(tap)

    for name in heard:
        watch(name)
    converse(net)
    return {name: [(packet, reply) for packet, reply in packets] for name, packets in heard.items()}


def converse(net: Network) -> None:
    """Let the hosts ping each other, and move the virtual address from B to C."""
    a, b, c = (net.hosts[name] for name in "abc")
    b.addr(VIP + "/24")
    for host, target in ((a, "10.0.0.2"), (c, "10.0.0.2"), (a, VIP), (b, "10.0.0.3"), (c, VIP)):
        run(net, ping(host, target))
    give_up(b)
    take_over(c, gratuitous=True)
    net.run(until=net.now + S)
    run(net, ping(a, VIP))


def addresses(pair: Any, *lengths: int) -> bool:
    """Return True for a pair of addresses with these numbers of bytes."""
    return (
        isinstance(pair, list | tuple)
        and len(pair) == len(lengths)
        and all(isinstance(part, bytes) and len(part) == length for part, length in zip(pair, lengths))
    )


def play(receive: Any, own: bytes, packets: list[Packet]) -> Any:
    """Give packets to the learner's host. Returns its reply to the last one, and the cache after it, in words."""
    cache: dict[bytes, bytes] = {}
    for packet in packets:
        reply = receive(cache, own, *packet)
    if reply is not None and not addresses(reply, 4, 6) or not all(addresses(entry, 4, 6) for entry in cache.items()):
        raise WrongAnswer(
            "`receive` returns None, or a pair of the sender's IP and MAC address as it got them. The cache has the same in it."
        )
    entries = ", ".join(f"{dotted(ip)} is {mac.hex(':')}" for ip, mac in sorted(cache.items()))
    said = f"a reply to {dotted(reply[0])} at {reply[1].hex(':')}" if reply else "no reply"
    return f"{said}, cache: {entries or 'empty'}"


def check(answer: ModuleType) -> None:
    """Raise WrongAnswer unless the exercise is solved."""
    cases = []
    for number, packets in enumerate(traffic().values(), 1):
        own = bytes((10, 0, 0, number))
        for packet, reply in packets:
            # The solution's reply is that of the stack, if the packet is about the host's first address.
            assert solution.receive({}, own, *packet) == (reply if packet[3] == own else None)
        # One packet after the other, so that the first one that is wrong shows.
        cases += [(own, [packet for packet, _ in packets[: count + 1]]) for count in range(len(packets))]

    def right(own: bytes, packets: list[Packet]) -> Any:
        return play(solution.receive, own, packets)

    compare(answer, "receive", cases, right, WRONG, __package__, play, words)


def words(own: bytes, packets: list[Packet]) -> str:
    """Describe the last packet."""
    request, sender, mac, target = packets[-1]
    kind = "request" if request else "reply"
    return f"At {dotted(own)}, a {kind} of {dotted(sender)} ({mac.hex(':')}) about {dotted(target)}"


def dotted(address: bytes) -> str:
    """Return an address for reading."""
    return ".".join(map(str, address))
