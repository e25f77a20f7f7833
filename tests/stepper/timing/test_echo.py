"""Timestamps of TCP show round trips that no acknowledgement of data shows."""

import struct

import pytest

import pystack_c.const as C
from pystack.sim.network import MS
from pystack.sim.programs import sleep, spawn
from pystack.stepper import Timeline
from pystack.stepper.scenarios.base import Scenario, finish, listener, pair, stream
from pystack.stepper.timing.echo import timestamps
from pystack.stepper.timing.index import Lookup
from pystack.stepper.timing.talk import CLIENT, SERVER, CapturedTalk
from tests.stepper.capture import corpus

MARKS = 0x01020304, 0x0A0B0C0D


def segment(options, version=4):
    """A TCP segment with these options, over IP."""
    tcp = struct.pack(">HHIIBBHHH", 80, 81, 1, 2, (20 + len(options)) // 4 << 4, 16, 100, 0, 0) + options
    if version == 4:
        return struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 0, 0, 64, 6, 0, b"\0" * 4, b"\0" * 4) + tcp
    return struct.pack(">IHBB16s16s", 6 << 28, len(tcp), 6, 64, b"\0" * 16, b"\0" * 16) + tcp


OPTION = b"\x01\x01\x08\x0a" + struct.pack(">II", *MARKS)


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("before", [b"", b"\x02\x04\x05\xb4", b"\x04\x02\x01\x01"])
def test_the_option_is_found(version, before):
    data = segment(before + OPTION, version)
    ethertype = b"\x08\x00" if version == 4 else b"\x86\xdd"
    assert timestamps(data, C.LINK_IP) == MARKS
    assert timestamps(bytes(12) + ethertype + data, C.LINK_ETHERNET) == MARKS
    assert timestamps(bytes(12) + b"\x88\xcc" + data, C.LINK_ETHERNET) is None


@pytest.mark.parametrize("options", [b"", b"\x01" * 8, b"\x00" * 4 + OPTION, b"\x05\x00\x01\x01" + OPTION])
def test_control_a_segment_without_it(options):
    assert timestamps(segment(options), C.LINK_IP) is None


def test_a_frame_that_was_cut_or_changed_gives_no_error():
    data = bytes(12) + b"\x08\x00" + segment(OPTION)
    for end in range(len(data)):
        assert timestamps(data[:end], C.LINK_ETHERNET) is None
    for at in range(len(data)):
        for value in (0, 0xFF):
            timestamps(data[:at] + bytes([value]) + data[at + 1 :], C.LINK_ETHERNET)


def test_a_round_trip_that_no_acknowledgement_of_data_shows():
    """The path is slow during the handshake. Later, the client answers an ACK of the server within the true round trip, with data that Nagle's algorithm held."""

    def run(net):
        a, b, link = pair(net, a={"tcp_quickack_segs": 0}, b={"tcp_quickack_segs": 0}, delay=20 * MS)
        waiting = listener(b)

        def server():
            sock = yield waiting.accept()
            yield sock.recv_exactly(2)

        def client():
            sock = stream(a)
            yield sock.connect("10.0.0.2", 80)
            yield sleep(50 * MS)
            link.ab.delay = link.ba.delay = 5 * MS
            yield sock.sendall(b"a")
            yield sock.sendall(b"b")

        finish(net, spawn(net, server()), spawn(net, client()))
        net.run(net.now + 100 * MS)

    timeline = Scenario("slow handshake", run, "", "", (), "").timeline()
    capture = Timeline.of(corpus.pcapng(corpus.seen_by(timeline, "b")), "lan.pcapng")
    talk = CapturedTalk(capture, Lookup(capture), capture.connections[0])
    samples = [entry.fields["sample"] for entry in capture.events if entry.kind == "tcp.rtt"]
    assert min(sample for sample in samples if sample) >= 40 * MS  # what acknowledgements show
    assert talk.trips[CLIENT] == 10 * MS and talk.trips[SERVER] == 0
