"""A client sends in bulk, and then one byte to a server that answers, or does not."""

from typing import Any

from pystack.labs.looks import LabLook
from pystack.labs.values import LabControl, LabValue
from pystack.testing.lab import MS, Lab, S, lab_net, pattern, sleep

R = 20 * MS
D = 40 * MS  # the longest time for which the server delays an acknowledgement
SEGMENTS, MSS = 1000, 1460
PROFILES = ("lab", "linux", "rfc")


def network(**settings: Any) -> Lab:
    """Build the network: a client `a` and a server `b`, half a round trip apart each way."""
    return lab_net(R // 2, **settings)


def bulk(**settings: Any) -> int:
    """Send 1,000 full segments. Returns the number of pure acknowledgements."""
    lab = network(**settings)
    client, server = lab.connected()
    lab.upload(pattern(SEGMENTS * MSS), client, server)
    lab.net.run(until=lab.net.now + S)
    assert len(lab.log.data("a")) == SEGMENTS
    return len([seg for seg in lab.log.sent["b"] if seg.pure_ack])


def one_byte(answer_after: int | None = None, **settings: Any) -> list[int]:
    """Send one byte. Returns when the client has its acknowledgement (ns), and the number of the server's pure acknowledgements."""
    lab = network(**settings)
    client, server = lab.connected()
    sent = lab.net.now
    client.call("send", b"x", 0)

    def serve():
        yield server.recv(1)
        if answer_after is not None:
            yield sleep(answer_after)
            yield server.sendall(b"y")

    lab.run(serve())
    lab.net.run(until=sent + S)
    acked = next(seg.time for seg in lab.log.got["a"] if seg.time > sent)
    return [acked - sent, len([seg for seg in lab.log.sent["b"] if seg.pure_ack])]


VALUES = [
    LabValue("bulk", "1,000 full segments: how many pure ACKs?", "1,000 / 2", 500, "ACKs"),
    LabValue("silent", "One byte, no answer: when does the client have its ACK?", "R + D", R + D),
    LabValue("answer", "The server answers 20 ms later: when does the client have its ACK?", "R + 20 ms", R + D // 2),
    LabValue("answer ACKs", "How many pure ACKs are there in this case?", "0: the answer has it", 0, "ACKs"),
    LabValue("late", "The server answers 1 ns after D: when does the client have its ACK?", "R + D", R + D),
    LabValue("late ACKs", "How many pure ACKs are there in this case?", "1", 1, "ACKs"),
    LabValue("slow", "How many of three kinds of stacks delay for 500 ms or more?", "none", 0, "stacks"),
]


def measure(name: str) -> int:
    """Measure one of VALUES."""
    if name == "bulk":
        return bulk()
    if name == "slow":
        return sum(one_byte(profile=profile)[0] - R >= 500 * MS for profile in PROFILES)
    after = {"silent": None, "answer": D // 2, "late": D + 1}[name.split()[0]]
    return one_byte(after)[name.endswith("ACKs")]


CONTROLS = [
    LabControl(
        "The server acknowledges each segment at once",
        LabValue("quick bulk", "1,000 full segments: pure ACKs", "1,000", SEGMENTS, "ACKs"),
    ),
    LabControl(
        "The server acknowledges each segment at once", LabValue("quick", "One byte: when is the ACK there", "R", R)
    ),
]


def control(name: str) -> int:
    """Measure a control."""
    return bulk(tcp_quickack_segs=1 << 20) if name == "quick bulk" else one_byte(tcp_quickack_segs=16)[0]


LOOKS = [
    LabLook("One byte, and an acknowledgement that waits for an answer", lambda: one_byte(), 'host == "b" and event.kind == "ack" and event.fields.action == "delayed"', "ladder"),
]  # fmt: skip
