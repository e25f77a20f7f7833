"""IPv6 captures in every view: what real programs said in namespaces, over all kinds of links; and findings against tshark's."""

import io
import re
import shutil
import struct

import pytest
from click.testing import CliRunner

import pystack_c.const as C
from pystack.cli.main import cli
from pystack.stepper import Timeline, messages, streams
from pystack.stepper.capture.reader import CaptureReader
from pystack.stepper.explain import MECHANISMS, why
from pystack.stepper.plot.data import short
from pystack.stepper.plot.ladder import ladder
from pystack.stepper.search import search
from pystack.stepper.timing.captured import _needs_fragments
from pystack.stepper.timing.echo import timestamps
from pystack.stepper.timing.requests import Requests
from pystack.trace import headers
from pystack.trace.pcapng import PcapngReader, PcapngWriter
from tests.stepper.capture import corpus
from tests.stepper.capture.test_tshark import Compared
from tests.stepper.dissect import six, test_tls, wires
from tests.support import build

CLIENT, SERVER = "2001:db8::1", "2001:db8::2"
ETHERNET, NULL, RAW, SLL, SLL2 = 1, 0, 101, 113, 276


@pytest.fixture(scope="module")
def real():
    """Return the frames that the client's link carried, and the keys."""
    if reason := six.missing():
        pytest.skip(reason)
    data, everywhere, keys = six.captured()
    return list(CaptureReader(io.BytesIO(data), "c0")), everywhere, keys


def capture(raws, change=lambda data: data, link=ETHERNET, keys=b""):
    """Return a capture with the frames as another link would have them."""
    out = corpus.Kept()
    writer = PcapngWriter(out)
    if keys:
        writer.secrets(keys)
    iface = writer.interface("eth0", link)
    for raw in raws:
        writer.packet(iface, raw.time, change(raw.data))
    writer.close()
    return out.data


def as_ipv6(data):
    """Return a frame with the same TCP segment over IPv6, or the frame if it has none."""
    found = headers.find(data, C.LINK_ETHERNET)
    if found is None or found.proto != 6 or found.offset or found.more:
        return data
    source, target = (six.A[:12] + address for address in (found.source, found.target))
    packet = build.ipv6(source, target, 6, build.upper6(source, target, 6, data[found.at : found.end]))
    return build.ether(packet, 0x86DD)


#: what the frames are on other links: the LINKTYPE, and what becomes of an Ethernet frame
LINKS = {
    "a VLAN": (ETHERNET, lambda data: data[:12] + b"\x81\0\0\7" + data[12:]),
    "two VLANs": (ETHERNET, lambda data: data[:12] + b"\x88\xa8\0\7\x81\0\0\x08" + data[12:]),
    "no link header": (RAW, lambda data: data[14:]),
    "Linux cooked": (SLL, lambda data: bytes(14) + data[12:]),
    "Linux cooked, version 2": (SLL2, lambda data: data[12:14] + bytes(18) + data[14:]),
    "loopback of BSD": (NULL, lambda data: struct.pack("<I", 30) + data[14:]),
}


def said(timeline):
    return [
        (one.frame, one.source, one.target, one.message.line) for one in messages.messages_of(timeline).all(timeline)
    ]


def test_messages_conversations_and_followed_streams(real):
    raws, _, keys = real
    timeline = Timeline.of(capture(raws, keys=keys))
    lines = [line for *_, line in said(timeline)]
    assert lines[:2] == ["HTTP GET / HTTP/1.1", "HTTP/1.1 200 OK"] and lines[-2:] == lines[:2]  # nginx has TLS 1.2
    talks = streams.conversations(timeline)
    assert {talk.protocol for talk in talks} == {"TCP", "UDP"}
    assert all(talk.client.startswith(f"[{CLIENT}]:") and talk.server.startswith(f"[{SERVER}]:") for talk in talks)
    pieces, cut = streams.follow(timeline, next(talk for talk in talks if talk.server.endswith(":80")))
    assert (
        not cut
        and pieces[0].data.startswith(b"GET / HTTP/1.1")
        and b"".join(one.data for one in pieces).endswith(b"x" * 3000)
    )
    dns = next(talk for talk in talks if talk.server.endswith(":53"))
    assert [one.way for one in streams.follow(timeline, dns)[0]] == [0, 1]
    frame = timeline.frames[dns.first]
    assert messages.beside(frame) == "DNS: www.shop.test (AAAA)?"
    assert any("AAAA: 2001:db8::80" in hit.text for hit in search(timeline, "www.shop.test 2001:db8::80")[0])


def test_every_frame_is_explained(real):
    timeline = Timeline.of(capture(real[0]))
    texts = []
    for frame in timeline.frames:
        found = why(timeline, frame=frame.number)
        assert found.mechanism in MECHANISMS and all(one.endswith(".") and "None" not in one for one in found.sentences)
        assert " > " not in short(frame.summary)
        texts.append(str(found))
    text = "\n".join(texts)
    for part in (
        f"{CLIENT} asks for the MAC address of {SERVER}. The question goes to the group",
        f"{SERVER} says that its MAC address is ",
        "which groups it is a member of: ff02::1:ff",
        f"{CLIENT} pings {SERVER}: the request asks for a reply",
        "its bytes 1448 to 2895. Only the first fragment has the header of the layer above",
        "DNS: it asks for the records of www.shop.test (AAAA)",
        f"The packet was a UDP datagram from {CLIENT} to port 54 of {SERVER}.",
        f"{SERVER} refuses the connection with a RST",
    ):
        assert part in text, part


def test_neighbour_discovery_by_hand():
    """What the kernels of the two namespaces do not send."""
    frames = dict((*six.neighbours(), *six.errors()))
    timeline = Timeline.of(wires.pcapng(list(frames.values())))
    found = {name: str(why(timeline, frame=number)) for number, name in enumerate(frames, 1)}
    assert "fe80::1 is a router of the link" in found["router advertisement"]
    assert (
        "The prefix of the link is 2001:db8::/64, with which hosts make their own addresses"
        in found["router advertisement"]
    )
    assert "It is a default router for 1800 seconds." in found["router advertisement"]
    assert "Hosts get their addresses by DHCPv6." in found["router advertisement"]
    assert (
        "A host asks whether another host of the link has 2001:db8::2 already" in found["duplicate address detection"]
    )
    assert "to find out whether its MAC address still holds" in found["neighbour solicitation of one host"]
    assert "2001:db8::1 is 02:00:00:00:00:01. Nobody asked" in found["neighbour advertisement, not asked"]
    assert "packets to 2001:db8::2 should go to fe80::1" in found["redirect"]
    assert "is a member of: ff02::1:ff00:2, and leaves: ff02::2" in found["report"]
    assert "too large for the next link, which takes 1300 bytes" in found["error 2/0"]
    assert "The packet was a TCP segment from 2001:db8::1 to port 80 of 2001:db8::2." in found["error 2/0"]


@pytest.mark.parametrize("name", LINKS)
def test_other_links_show_the_same(real, name):
    raws, _, keys = real
    link, change = LINKS[name]
    one = Timeline.of(capture(raws, keys=keys))
    other = Timeline.of(capture(raws, change, link, keys))
    assert said(other) == said(one) and len(said(one)) == 4
    assert [frame.summary for frame in other.frames] == [frame.summary for frame in one.frames]
    assert other.counts() == one.counts() and streams.conversations(other) == streams.conversations(one)
    assert ladder(other).flows == ladder(one).flows
    for left, right in zip(one.frames, other.frames, strict=True):
        assert str(why(one, frame=left.number)) == str(why(other, frame=right.number))
        known = [
            [layer.abbrev for layer in messages.tree(frame).layers if layer.abbrev not in ("eth", "vlan", "ieee8021ad")]
            for frame in (left, right)
        ]
        assert known[0] == known[1]


def test_a_capture_of_all_interfaces(real):
    raws, everywhere, keys = real
    one, other = Timeline.of(capture(raws)), Timeline.of(everywhere)
    assert [line for *_, line in said(other)] == [line for *_, line in said(one)]


def test_where_time_went(real, tmp_path):
    raws, _, _ = real
    timeline = Timeline.of(capture(raws))
    path = Requests(timeline).path(":443")
    assert sum(span.end - span.start for span in path.spans) == path.elapsed > 0
    causes = {span.cause for span in path.spans} | {span.why for span in path.spans}
    assert {"connection", "on the way"} <= causes and any(cause.startswith("TLS") for cause in causes)
    file = tmp_path / "six.pcapng"
    file.write_bytes(capture(raws))
    output = CliRunner().invoke(cli, ["time", str(file)]).output
    assert re.search(r"2001:db8::1 tcp \[2001:db8::1\]:\d+-\[2001:db8::2\]:80: [\d.]+ ms", output)
    text = CliRunner().invoke(cli, ["step", str(file), "--conversations"]).output
    assert text.count("[2001:db8::1]") == 3


def test_reports_and_timestamps_behind_extension_headers(real):
    too_big = dict(six.errors())["error 2/0"]
    assert _needs_fragments(too_big, C.LINK_ETHERNET) and _needs_fragments(too_big[14:], C.LINK_IP)
    assert not _needs_fragments(dict(six.errors())["error 1/0"], C.LINK_ETHERNET)
    options = b"\x08\x0a" + struct.pack(">II", 7, 8)
    segment = build.tcp(1, 4000, 2, 80, 16, 1, 1, options=options)
    packet = build.ipv6(six.A, six.B, 6, segment, six.options(six.UNKNOWN, after=6), first=60)
    assert timestamps(packet, C.LINK_IP) == (7, 8)


@pytest.mark.skipif(shutil.which("tshark") is None, reason="needs tshark (package tshark)")
def test_findings_agree_with_tshark_and_with_those_over_ipv4(tmp_path):
    """Transfers over bad links, with the same segments over IPv6."""
    compared = Compared(tmp_path / "six.pcapng")
    for number, (name, data) in enumerate(corpus.of_transfers()):
        if number % 5 == 0:
            frames = [
                (frame.time, as_ipv6(frame.data), C.LINK_ETHERNET) for frame in PcapngReader(io.BytesIO(data), name)
            ]
            six_data = corpus.pcapng(frames)
            compared.take(name, six_data)
            assert corpus.opened(six_data).counts() == corpus.opened(data).counts()
    assert compared.wrong == []
    assert compared.captures == 6 and len(compared.findings) >= 4 and compared.trips > 60 and compared.flights > 100


def test_postgres_of_a_namespace(tmp_path):
    """psql and PostgreSQL over ::1, compared with tshark; a second connection has TLS, whose keys psql does not write."""
    from tests.stepper.dissect.test_messages import differences, own, tshark

    reason = six.missing() or (
        "" if wires.postgres_binaries() and shutil.which("psql") else "needs PostgreSQL (package postgresql)"
    )
    if reason or shutil.which("tshark") is None:
        pytest.skip(reason or "needs tshark (package tshark)")
    data = six.postgres()
    timeline = Timeline.of(data)
    assert timeline.hosts[:2] == ["::1", "[::1]:5432"]
    lines = [line for *_, line in said(timeline)]
    assert "PostgreSQL Query: SELECT 'over IPv6' AS word" in lines
    assert lines[-2:] == ["PostgreSQL SSLRequest", "PostgreSQL TLS begins, so the messages after it are encrypted"]
    ours, cut = own(timeline)
    theirs = tshark(data, tmp_path / "lo.pcapng")
    assert len(theirs) > 30 and differences(ours, cut, theirs) == []


@pytest.mark.skipif(shutil.which("tshark") is None, reason="needs tshark (package tshark)")
def test_postgres_in_tls_over_ipv6(tmp_path):
    """The same bytes as over IPv4, as tshark sees them."""
    import ssl

    from tests.stepper.dissect.test_messages import differences, own, tshark

    spoken, keys = test_tls.postgres(ssl.TLSVersion.TLSv1_3)
    data = wires.pcapng([as_ipv6(frame) for frame in wires.frames(spoken, 5432)], keys)
    ours, cut = own(Timeline.of(data))
    theirs = tshark(data, tmp_path / "tls.pcapng")
    assert len(theirs) > 40 and differences(ours, cut, theirs) == []
