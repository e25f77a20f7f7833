"""Captures for the tests: what each host of a scenario, or of a simulated transfer over a bad link, would have captured."""

import io
import itertools
import random
import socket
import struct
import subprocess
from typing import NamedTuple

import pystack_c.const as C
from pystack.sim.network import MS, Network
from pystack.stepper import Timeline, scenarios
from pystack.stepper.capture.tcp import FINDINGS
from pystack.trace.pcapng import LINKTYPE_ETHERNET, LINKTYPE_RAW, PcapngWriter

TCP = (
    "handshake http-get simultaneous-open loss-fast-retransmit rto zero-window nagle delayed-ack syn-flood reset time-wait "
    "pmtud tfo nat bufferbloat"
).split()  # fmt: skip


class Kept(io.BytesIO):
    """A file in memory whose bytes stay when it is closed."""

    data = b""

    def close(self):
        self.data = self.getvalue()
        super().close()


def seen_by(timeline, host):
    """Return (time, data, link) of each frame that left or reached a host."""
    found = []
    for frame in timeline.frames:
        if frame.host == host:
            found.append((frame.time, frame.index, frame.data, frame.link))
        if frame.to == host and frame.arrival is not None:
            found.append((frame.arrival, frame.index, frame.data, frame.link))
    return [(time, data, link) for time, _, data, link in sorted(found)]


def pcapng(frames):
    out = Kept()
    writer = PcapngWriter(out)
    numbers = {}
    for time, data, link in frames:
        if link not in numbers:
            kind = LINKTYPE_ETHERNET if link == C.LINK_ETHERNET else LINKTYPE_RAW
            numbers[link] = writer.interface(f"if{link}", kind)
        writer.packet(numbers[link], 1_700_000_000_000_000_000 + time, data)
    writer.close()
    return out.data


def of_scenarios():
    """Yield (name, capture) for each host of each scenario with TCP."""
    for name in TCP:
        timeline = scenarios.get(name).timeline()
        for host in timeline.hosts:
            frames = seen_by(timeline, host)
            if frames:
                yield f"{name} at {host}", pcapng(frames)


def transfer(seed, size=60_000, both=False, **faults):
    """Return the captures (at the client, at the server) of a transfer over a bad link."""
    files = Kept(), Kept()
    with Network(seed) as net:
        a, b = net.host("a"), net.host("b")
        net.link(a, b, addrs=("10.0.0.1/24", "10.0.0.2/24"), delay=10 * MS, **faults)
        for file, host in zip(files, (a, b)):
            net.capture(file, *host.ports)

        def server():
            sock = socket.socket()
            sock.bind(("0.0.0.0", 80))
            sock.listen()
            conn, _ = sock.accept()
            got = 0
            while got < size:
                data = conn.recv(65536)
                if not data:
                    break
                got += len(data)
                if both:
                    conn.sendall(data)
            conn.close()
            sock.close()

        def client():
            sock = socket.socket()
            sock.connect(("10.0.0.2", 80))
            sock.sendall(bytes(size))
            got = 0
            while both and got < size:
                data = sock.recv(65536)
                if not data:
                    break
                got += len(data)
            sock.close()

        net.run({b: server, a: client})
    return [file.data for file in files]


def of_transfers():
    """Yield (name, capture) for both ends of simulated transfers."""
    kinds = (
        {"loss": 0.02}, {"loss": 0.1}, {"loss": 0.05, "jitter": 5 * MS}, {"reorder": 0.1}, {"duplicate": 0.1, "loss": 0.03},
    )  # fmt: skip
    for seed, (number, faults) in itertools.product((1, 2, 3), enumerate(kinds)):
        for end, data in zip("ab", transfer(seed, both=number % 2 == 1, **faults)):
            yield f"transfer {faults} seed {seed} at {end}", data


def tshark(path, *fields, filter="tcp and not icmp"):
    """Return a row of values for each frame."""
    command = ["tshark", "-n", "-r", str(path), "-Y", filter, "-T", "fields", "-E", "occurrence=f"]
    for field in ("frame.number", *fields):
        command += ["-e", field]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return {int(row[0]): row[1:] for row in (line.split("\t") for line in done.stdout.splitlines())}


class Expert(NamedTuple):
    """What tshark says of a segment."""

    findings: list[str]
    seq: int
    in_flight: int
    rtt: int  # in ns, or -1
    acks: int


def expert(path):
    """Return {frame number: Expert}. tshark marks fast and spurious retransmissions as retransmissions, too."""
    names = list(FINDINGS)
    numbers = ("tcp.seq", "tcp.analysis.bytes_in_flight", "tcp.analysis.ack_rtt", "tcp.analysis.acks_frame")
    found = {}
    for frame, (seq, flight, rtt, acks, *row) in tshark(
        path, *numbers, *(f"tcp.analysis.{one}" for one in names)
    ).items():
        chosen = [name for name, value in zip(names, row) if value]
        if "fast_retransmission" in chosen or "spurious_retransmission" in chosen:
            chosen.remove("retransmission")
        trip = round(float(rtt) * 1e9) if rtt else -1
        found[frame] = Expert(sorted(chosen), int(seq), int(flight or 0), trip, int(acks or 0))
    return found


def ours(timeline):
    """Return {frame number: names of our findings}, for frames with TCP."""
    found = {}
    for entry in timeline.events:
        if entry.kind == "tcp.out":
            found[entry.frame + 1] = []
        elif entry.kind == "tcp.inferred":
            found[entry.frame + 1].append(entry.fields["name"])
    return {number: sorted(names) for number, names in found.items()}


def opened(data, name="capture"):
    return Timeline.of(data, name)


class Forged:
    """A conversation that is written segment by segment, for what the simulator's hosts do not do. Times are in ms."""

    SYN, FIN, RST, ACK = 2, 1, 4, 16

    def __init__(self, handshake=True, v6=False, ports=(40000, 80)):
        self.frames = []
        self.now = 0
        self.v6 = v6
        self.ports = ports
        if handshake:
            self.add("a", 0, 0, flags=2, options=b"\x03\x03\x02\x00")
            self.add("b", 0, 1, flags=18, options=b"\x03\x03\x02\x00", after=10)
            self.add("a", 1, 1, after=10)

    def add(self, end, seq, ack, length=0, win=1000, flags=16, options=b"", after=1, sack=()):
        self.now += after
        if sack:
            options = b"\x01\x01\x05" + bytes([2 + 8 * len(sack)])
            options += b"".join(
                struct.pack(">II", (7000 if end == "a" else 1000) + left, (7000 if end == "a" else 1000) + right)
                for left, right in sack
            )
        mine, theirs = (1000, 7000) if end == "a" else (7000, 1000)
        one, two = self.ports if end == "a" else self.ports[::-1]
        bits = (20 + len(options)) // 4 << 12 | flags
        number = (theirs + ack) & 0xFFFFFFFF if flags & 16 else 0
        tcp = (
            struct.pack(">HHIIHHHH", one, two, (mine + seq) & 0xFFFFFFFF, number, bits, win, 0, 0)
            + options
            + bytes(length)
        )
        hosts = (1, 2) if end == "a" else (2, 1)
        if self.v6:
            head = struct.pack(">IHBB", 0x60000000, len(tcp), 6, 64) + b"".join(bytes(15) + bytes([n]) for n in hosts)
        else:
            head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(tcp), 1, 0, 64, 6, 0)
            head += b"".join(bytes([10, 0, 0, n]) for n in hosts)
        self.frames.append((self.now * MS, head + tcp, C.LINK_IP))
        return self

    def capture(self):
        return pcapng(self.frames)


def of_forged():
    """Yield (name, capture) for what is rare: probes of all kinds, holes in the capture, ports used again."""
    for right, name in ((501, "to its end"), (601, "beyond its end"), (301, "not at all")):
        talk = Forged()
        for seq in (1, 101, 201, 301, 401, 501):
            talk.add("a", seq, 1, 100)
        for _ in range(4):
            talk.add("b", 1, 101, sack=[(301, right)])
        yield f"sacked {name}", talk.add("a", 401, 1, 100, after=1).capture()
    talk = Forged()
    for seq in (1, 101, 201, 301, 401, 501, 601, 701):
        talk.add("a", seq, 1, 100)
    for _ in range(4):
        talk.add("b", 1, 101, sack=[(601, 701), (301, 501)])
    yield "sacked in the second block", talk.add("a", 401, 1, 100).add("a", 201, 1, 100).add("a", 601, 1, 100).capture()
    talk = Forged().add("a", 1, 1, 100).add("b", 1, 101, win=0)
    for _ in range(3):
        talk.add("a", 101, 1, 1, after=200).add("b", 1, 101, win=0)
    yield "probes", talk.add("b", 1, 101, win=500, after=100).add("a", 101, 1, 100).add("b", 1, 201).capture()
    talk = Forged().add("a", 1, 1, 100).add("b", 1, 101, win=0).add("a", 101, 1, 1, after=200).add("b", 1, 102, win=0)
    yield "a probe that is taken", talk.add("b", 1, 102, win=500).add("a", 102, 1, 100).add("b", 1, 202).capture()
    talk = Forged().add("a", 1, 1, 100).add("b", 1, 101)
    for length in (0, 1, 0):
        talk.add("a", 100, 1, length, after=5000).add("b", 1, 101)
    yield "keep-alive", talk.add("a", 101, 1, 50).add("b", 1, 151).capture()
    talk = Forged().add("a", 1, 1, 100).add("b", 1, 301).add("a", 401, 1, 100).add("b", 1, 501).add("b", 1, 601)
    yield "holes", talk.add("a", 601, 1, 10).add("b", 1, 611).capture()
    talk = Forged().add("a", 1, 1, 1000).add("a", 1001, 1, 1000).add("b", 1, 2001, win=500).add("a", 2001, 1, 2000)
    yield "a full window", talk.add("b", 1, 4001, win=0).add("b", 1, 4001, win=100).add("b", 1, 4001, win=100).capture()
    talk = Forged().add("a", 1, 1, 10).add("b", 1, 11, 10, flags=17).add("a", 11, 12, flags=17).add("b", 12, 12)
    talk.add("a", 90000, 0, flags=2).add("b", 80000, 90001, flags=18).add("a", 90001, 80001).add("a", 90001, 80001, 20)
    yield "ports used again", talk.add("b", 80001, 90021).capture()
    talk = (
        Forged(handshake=False).add("a", 1, 1, 100).add("b", 1, 101, 100).add("a", 1, 101, 100).add("a", 101, 101, 100)
    )
    yield "without a handshake", talk.add("b", 101, 201).add("a", 51, 101, 100).add("b", 101, 201).capture()
    talk = Forged(handshake=False)
    for seq in (2**32 - 1300, 2**32 - 1200, 2**32 - 1000, 2**32 - 1100, 2**32 - 900, 0, 100, 0):
        talk.add("a", seq, 1, 100).add("b", 1, seq + 100)
    yield "a wrap", talk.capture()
    talk = Forged().add("a", 1, 1, 100).add("a", 201, 1, 100).add("a", 101, 1, 100, after=2).add("b", 1, 301)
    talk.add("a", 301, 1, 100).add("a", 301, 1, 100, after=200)
    yield "out of order, and a timeout", talk.add("b", 1, 401).capture()
    talk = Forged().add("a", 1, 1, 100, flags=17).add("b", 1, 102).add("a", 101, 1, flags=17, after=0).add("b", 1, 102)
    yield (
        "a FIN that arrived twice",
        talk.add("b", 1, 102, flags=17).add("b", 1, 102, flags=17, after=0).add("a", 102, 2).capture(),
    )
    talk = Forged().add("a", 1, 1, 100).add("a", 1, 1, 0, flags=4).add("b", 1, 101, flags=20).add("a", 1, 1, 100)
    yield "resets", talk.add("b", 1, 301, flags=20).add("b", 500, 101, flags=4).capture()
    talk = Forged(v6=True).add("a", 1, 1, 100).add("a", 301, 1, 100).add("b", 1, 101).add("b", 1, 101).add("b", 1, 101)
    yield "IPv6", talk.add("a", 101, 1, 200).add("b", 1, 401).capture()


def of_chance(seed):
    """Return a conversation of random segments, near each other, so that every rule meets every other one."""
    rnd = random.Random(seed)
    talk = Forged(handshake=rnd.random() < 0.8)
    sent, acked = {"a": 1, "b": 1}, {"a": 1, "b": 1}
    for _ in range(rnd.randrange(20, 120)):
        end = rnd.choice("ab")
        other = "b" if end == "a" else "a"
        length = rnd.choice((0, 0, 0, 1, 100, 100, 250))
        seq = max(sent[end] + rnd.choice((0, 0, 0, 0, -1, -100, -100, 100, -350)), 1)
        if rnd.random() < 0.4:
            acked[end] = max(acked[end], min(sent[other], acked[end] + rnd.choice((100, 250, 1000))))
        ack = acked[end] + (100 if rnd.random() < 0.02 else 0)
        win = rnd.choice((1000, 1000, 1000, 1000, 0, 25, 900))
        sack = [(ack + 100, ack + 300)] if rnd.random() < 0.15 else []
        flags = rnd.choice((16,) * 30 + (17, 20))
        talk.add(end, seq, ack, length, win, flags, after=rnd.choice((0, 1, 1, 4, 12, 30, 250)), sack=sack)
        sent[end] = max(sent[end], seq + length + (1 if flags & 3 else 0))
    return talk.capture()
