"""Recordings replay to the byte; a core that decides otherwise is caught at its first frame; broken files say so."""

import io
import os
import struct
import subprocess
import sys
import zlib

import pytest

from pystack.sim.network import MS, Network, S
from pystack.trace import cursor, values
from pystack.trace import format as fmt
from pystack.trace.annotate import FrameProbe
from pystack.trace.errors import TraceError
from pystack.trace.recorder import Recorder
from pystack.trace.replay import Replay, ReplayMismatch, replay
from pystack_c.config import Config
from tests import frames as f

PEER, HOST = "10.0.0.1", "10.0.0.2"


class Kept(io.BytesIO):
    """A file that keeps its bytes after close()."""

    def close(self):
        self.kept = self.getvalue()


def exchange(net: Network) -> None:
    """Two hosts on a lossy link, one of them asked by a wire: ARP, pings, a fragmented ping, a bad frame."""
    host, other, wire = net.host("h"), net.host("o"), net.wire("w")
    net.link(host, other, addrs=("10.9.0.1/24", "10.9.0.2/24"), delay=MS, loss=0.1)
    net.link(host, wire, addrs=(f"{HOST}/24", None), delay=5 * MS, duplicate=0.3)
    host.route("10.7.0.0/16", via="10.9.0.2")
    mac = host.port().iface.mac
    wire.send(f.ether(f.arp(1, f.MAC_A, PEER, 0, HOST), 0x0806, dst=0xFFFFFFFFFFFF))
    for number in range(20):
        ping = f.icmp(8, 0, struct.pack(">HH", 1, number), bytes(range(100)))
        net.after(number * 50 * MS, wire.send, f.ether(f.ipv4(PEER, HOST, 1, ping), dst=mac))
    big = f.icmp(8, 0, struct.pack(">HH", 2, 1), bytes(2000))
    net.after(S, wire.send, f.ether(f.ipv4(PEER, HOST, 1, big[:1480], fragment=0x2000), dst=mac))
    net.after(S, wire.send, f.ether(f.ipv4(PEER, HOST, 1, big[1480:], fragment=185), dst=mac))
    net.after(S, wire.send, b"short")
    net.run(until=60 * S)


def recorded(seed: int = 1) -> bytes:
    out = Kept()
    with Network(seed) as net:
        net.record(out, title="a test")
        exchange(net)
    return out.kept


@pytest.fixture(scope="module")
def recording() -> bytes:
    return recorded()


def test_a_recording_replays_to_the_byte(recording):
    counts = replay(io.BytesIO(recording))
    assert counts.hosts == 2 and counts.frames > 20 and counts.duration > S
    assert recorded() == recording
    assert recorded(seed=2) != recording


def test_recording_and_watching_do_not_change_a_run():
    captures = []
    for record, watch in ((False, False), (True, False), (False, True), (True, True)):
        out = Kept()
        with Network(1) as net:
            if record:
                net.record(Kept())
            if watch:
                net.watch(lambda record: None)
            exchange_and_capture(net, out)
        captures.append(out.kept)
    assert len(set(captures)) == 1 and len(captures[0]) > 2000


def exchange_and_capture(net: Network, out: Kept) -> None:
    original = net.run

    def run(until: int) -> None:
        net.capture(out)
        original(until)

    net.run = run
    exchange(net)


def test_another_core_fails_at_the_first_frame_that_differs(recording):
    def change(name, config):
        if name == "h":
            config.ip_default_ttl = 63

    with pytest.raises(ReplayMismatch) as caught:
        replay(io.BytesIO(recording), config_change=change)
    error = caught.value
    # Frame 1 answers the ARP request; the first IP packet of this host is the first echo reply.
    assert (error.host, error.frame, error.time) == ("h", 2, 5 * MS)
    assert "IPv4 TTL (byte 22): 64 (0x40) expected, 63 (0x3f) got" in str(error)
    assert "frame 2" in str(error) and "echo reply" in str(error)


def test_a_missing_and_an_extra_frame_are_told(recording):
    from pystack_c.stack import Stack

    class Faulty(Stack):
        """Its third frame is missing, or its fourth a byte too long."""

        swallow = True
        sent = 0

        def poll_transmit(self, now):
            tx = super().poll_transmit(now)
            if tx is None:
                return None
            self.sent += 1
            if self.sent == 3 and self.swallow:
                return None
            if self.sent == 4 and not self.swallow:
                tx.header = tx.header + b"!"
            return tx

    class Long(Faulty):
        swallow = False

    with pytest.raises(
        ReplayMismatch, match="frame 3 .*the frame is missing; expected IP 10.0.0.2 > 10.0.0.1: ICMP echo reply"
    ):
        replay(io.BytesIO(recording), stack_class=Faulty)
    with pytest.raises(ReplayMismatch, match="frame 4 .*length 142 expected, 143 got"):
        replay(io.BytesIO(recording), stack_class=Long)


def test_replay_feeds_a_probe(recording):
    live, again = [], []
    with Network(1) as net:
        net.watch(live.append)
        exchange(net)
    probe = FrameProbe(again.append)
    replay(io.BytesIO(recording), probe=probe)
    probe.flush()
    assert sorted(r.line() for r in live) == sorted(r.line() for r in again) != []


def test_steps_can_be_stopped_anywhere(recording):
    player = Replay(io.BytesIO(recording))
    for record in player.steps():
        if record.kind == fmt.TRANSMIT:
            break
    assert player.frames == 1 and player.meta == {"seed": 1, "title": "a test"}
    assert player.hosts[0].stack.counters.ArpInRequests == 1


def test_cut_at_any_byte_the_whole_chunks_can_be_read(recording):
    out = Kept()
    recorder = Recorder(out)
    host = recorder.host("h", 1, Config())
    for time in range(5):
        host.timeout(time)
        recorder.flush()
    recorder.close()
    data = out.kept
    whole = len(list(fmt.RecordReader(io.BytesIO(data))))
    assert whole == 7
    seen = set()
    for cut in range(1, len(data)):
        with pytest.raises(TraceError, match="truncated") as caught:
            list(fmt.RecordReader(io.BytesIO(data[:cut]), "x.pytrace"))
        assert "x.pytrace" in str(caught.value) and "\n" not in str(caught.value)
        if cut >= 9:
            seen.add(len(list(fmt.RecordReader(io.BytesIO(data[:cut]), "x.pytrace", partial=True))))
    assert seen == {0, 3, 4, 5, 6, 7}


def test_every_flipped_bit_is_noticed(recording):
    data = recording[:9] + recording[9:]
    for at in range(0, len(data), max(1, len(data) // 300)):
        bad = bytearray(data)
        bad[at] ^= 0x10
        with pytest.raises(TraceError) as caught:
            list(fmt.RecordReader(io.BytesIO(bytes(bad)), "x.pytrace"))
        assert str(caught.value).startswith("x.pytrace: ") and "\n" not in str(caught.value)


def chunk(body: bytes) -> bytes:
    data = zlib.compress(body)
    return struct.pack(">II", len(data), zlib.crc32(data)) + data


def blob(size: int) -> bytes:
    """A record of `size` zeros."""
    out = bytearray((fmt.META, 4))
    values.put_bytes(out, bytes(size))
    return bytes(out)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "not a pystack recording"),
        (b"\n\r\r\n whatever", "not a pystack recording"),
        (b"PYSTACKT\x09", "format version 9"),
        (b"PYSTACKT\x01" + struct.pack(">II", 1 << 30, 0), "impossible chunk length"),
        (b"PYSTACKT\x01" + chunk(b"\xee"), "unknown kind of record"),
        (b"PYSTACKT\x01" + chunk(b"\x06\x00"), "ends too early"),
        (b"PYSTACKT\x01" + chunk(bytes((fmt.END, 5))), "0 records, but it says 5"),
        (b"PYSTACKT\x01" + chunk(bytes((fmt.END, 0, fmt.END, 1))), "follows the end"),
        (b"PYSTACKT\x01" + chunk(bytes((fmt.META, 9, 1, 9, 0, 0))), "unhashable"),
        (b"PYSTACKT\x01" + chunk(bytes((fmt.META,)) + b"\x07\x01" * 50), "nested too deep"),
        (b"PYSTACKT\x01" + chunk(bytes((fmt.TIMEOUT,)) + b"\xff" * 2000), "number without an end"),
        (lambda: b"PYSTACKT\x01" + chunk(blob(33 << 20) * 2), "expands to more than 67108864 bytes"),
        (b"PYSTACKT\x01" + chunk(blob(1 << 20)[:-1]), "bytes longer than their chunk"),
        (b"PYSTACKT\x01" + chunk(bytes((fmt.META, 4)) + b"\xff" * 9 + b"\0"), "are allowed"),
        (b"PYSTACKT\x01" + chunk(bytes((fmt.META, 7)) + b"\x80\x80\x08" + bytes(1 << 17)), "a list of 131072"),
        (
            b"PYSTACKT\x01" + chunk(bytes((fmt.META, 7, 3)) + (b"\x07\xff\xff\3" + bytes(65535)) * 3),
            "more than 65536 values",
        ),
        (b"PYSTACKT\x01" + chunk(bytes((fmt.TIMEOUT, 0)) + b"\xff" * 9 + b"\x7f"), "more than 64 bits"),
        (b"PYSTACKT\x01" + chunk((bytes((fmt.TIMEOUT, 0)) + b"\xfe" + b"\xff" * 8 + b"\1") * 3), "a time of more than"),
        (b"PYSTACKT\x01" + chunk(bytes((fmt.TRANSMIT, 0, 0, 1, 0, 0, 0, 0)) + b"\xff" * 6 + b"\1\0"), "a frame of"),
        (
            b"PYSTACKT\x01" + chunk(bytes((fmt.RECEIVE, 0, 0, 1, 0, 0)) + b"\x81\x80\x08" + bytes(131073)),
            "are allowed",
        ),
    ],
)
def test_foreign_and_broken_recordings(data, text):
    data = data() if callable(data) else data  # what takes long to make is not made by the collection
    with pytest.raises(TraceError, match=text) as caught:
        list(fmt.RecordReader(io.BytesIO(data), "x.pytrace"))
    assert str(caught.value).startswith("x.pytrace: ")


def announce(recorder, name):
    """Write down that a function of that name is called (the recorder itself would refuse it)."""
    recorder.writer.buffer.append(fmt.FUNCTION)
    values.put_bytes(recorder.writer.buffer, name.encode())
    recorder.writer.end_record()


@pytest.mark.parametrize(
    ("write", "text"),
    [
        (lambda r: announce(r, "builtins:print"), "not an application call"),
        (lambda r: r.host("h", 1, Config()).setup(0, "__init__", ()), "not allowed"),
        (
            lambda r: r.host("h", 1, Config()).timeout(0) or r.host("g", 1, Config()).setup(0, "add_addr", (1,)),
            "replayed",
        ),
        (lambda r: r.host("h", 1, type("C", (), {"as_dict": lambda s: {"tcp_x": 1}})()), "no setting named 'tcp_x'"),
    ],
)
def test_a_recording_cannot_do_more_than_a_run(write, text):
    out = Kept()
    recorder = Recorder(out)
    write(recorder)
    recorder.close()
    with pytest.raises(TraceError, match=text):
        replay(io.BytesIO(out.kept))


def test_values_round_trip():
    samples = [
        None, True, False, 0, -1, 1 << 70, -(1 << 70), b"", b"x" * 300, "", "zü", 1.5, (1, [2, (3,)]), {"a": {1: b"2"}},
        values.EndpointRef(7), values.IfaceRef(2), values.StackRef(), values.Digest(9, b"12345678"), values.Other("Thing"),
    ]  # fmt: skip
    out = bytearray()
    values.put_value(out, samples)
    back = cursor.decode_value(bytes(out))
    assert back == samples and [type(v) for v in back] == [type(v) for v in samples]
    with pytest.raises(TypeError):
        values.put_value(out, object())


def hostile_recording(seed: int, out: Kept, **settings) -> None:
    from tests.sim.hostile import Transfer

    transfer = Transfer(seed, 100_000, prepare=lambda net: net.record(out), **settings)
    transfer.run()
    transfer.net.close()


@pytest.mark.parametrize("settings", [{}, {"offload": True}, {"tcp_sack": False}], ids=["plain", "offload", "newreno"])
def test_tcp_over_a_hostile_network_replays(settings):
    out = Kept()
    hostile_recording(3, out, **settings)
    counts = replay(io.BytesIO(out.kept))
    assert counts.frames > 100 and counts.calls > 20
    size = len(out.kept)
    assert size < 3 * 200_000  # each byte goes in by a call, and once more in a frame that arrives

    def change(name, config):
        config.tcp_delack_time //= 2

    with pytest.raises(ReplayMismatch, match="differs at .* the next deadline"):
        replay(io.BytesIO(out.kept), config_change=change)


def test_what_the_compiled_core_recorded_the_uncompiled_replays(tmp_path):
    out = Kept()
    hostile_recording(4, out)
    path = tmp_path / "x.pytrace"
    path.write_bytes(out.kept)
    program = "import sys, pystack; from pystack.trace.replay import replay; print(replay(sys.argv[1]).frames)"
    for pure in ("0", "1"):
        env = {**os.environ, "PYSTACK_PURE": pure}
        run = subprocess.run(
            [sys.executable, "-c", program, str(path)], env=env, capture_output=True, text=True, timeout=100, check=True
        )
        assert int(run.stdout) == replay(str(path)).frames
