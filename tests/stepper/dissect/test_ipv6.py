"""IPv6: each field against tshark's, of frames by hand and of real programs; and what hostile bytes do."""

import io
import random
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pystack_c.const as C
from pystack.stepper.capture.reader import CaptureReader
from pystack.stepper.dissect import MALFORMED, dissect
from pystack.trace import headers
from pystack.trace.summary import Summarizer
from tests.stepper.dissect import pdml, six
from tests.stepper.dissect.corpus import Sample
from tests.stepper.dissect.test_fuzz import inside

needs_tshark = pytest.mark.skipif(shutil.which("tshark") is None, reason="needs tshark (package tshark)")
#: what we name and tshark does not compare: reserved bits and addresses that it calls something else
PROTOCOLS = {
    "eth",
    "vlan",
    "ipv6",
    "ipv6.hopopts",
    "ipv6.dstopts",
    "ipv6.routing",
    "ipv6.fraghdr",
    "icmpv6",
    "tcp",
    "udp",
}


def real():
    if reason := six.missing():
        pytest.skip(reason)
    return [
        Sample(f"real {n}", raw.data) for n, raw in enumerate(CaptureReader(io.BytesIO(six.captured()[0]), "real"), 1)
    ]


def differences(samples, path):
    """Return what tshark shows otherwise, and the names that were compared. Above TCP and UDP, other tests compare."""
    ours = [dissect(sample.frame, sample.link) for sample in samples]
    for tree in ours:
        tree.layers = [layer for layer in tree.layers if layer.abbrev not in ("dns", "http", "tls")]
    names = {node.abbrev for tree in ours for node in tree.walk()} - {"", MALFORMED}
    found = []
    for sample, tree, fields in zip(samples, ours, pdml.tshark(path, samples), strict=True):
        found += [f"{sample.name}: {text}" for text in pdml.differences(tree, fields, names, sample.whole)]
    return found, names


@needs_tshark
def test_each_field_is_where_tshark_has_it(tmp_path):
    found, names = differences(six.samples(), tmp_path / "six.pcapng")
    assert found == [], f"{len(found)} differences, such as:\n" + "\n".join(found[:20])
    assert names >= PROTOCOLS and names - pdml.known_names() == set()
    assert len(names) > 90


@needs_tshark
def test_each_field_of_real_programs(tmp_path):
    found, names = differences(real(), tmp_path / "real.pcapng")
    assert found == [], f"{len(found)} differences, such as:\n" + "\n".join(found[:20])
    assert names >= {"icmpv6.nd.ns.target_address", "ipv6.fraghdr.offset", "ipv6.opt.router_alert", "icmpv6.mldr.mar"}


@needs_tshark
def test_dns_over_ipv6(tmp_path):
    """The question of dig and the answer of dnsmasq, with an address of IPv6."""
    samples = [sample for sample in real() if dissect(sample.frame).find("dns")]
    names = {"dns.qry.name", "dns.qry.type", "dns.aaaa", "dns.resp.ttl", "dns.id"}
    seen = set()
    for sample, fields in zip(samples, pdml.tshark(tmp_path / "dns.pcapng", samples), strict=True):
        tree = dissect(sample.frame)
        for node in (node for node in tree.walk() if node.abbrev in names):
            value = node.value if isinstance(node.value, bytes) else node.value.to_bytes(node.width_bits // 8, "big")
            assert (node.offset, node.size, value.hex()) in [
                (one.pos, one.size, one.value) for one in fields if one.name == node.abbrev
            ]
            seen.add(node.abbrev)
    assert seen == names


@needs_tshark
def test_control_a_field_that_is_elsewhere_is_noticed(tmp_path):
    samples = list(six.samples())
    fields = pdml.tshark(tmp_path / "six.pcapng", samples)
    for name in ("ipv6.flow", "ipv6.tclass.ecn", "ipv6.dst", "icmpv6.opt.prefix", "ipv6.fraghdr.more", "vlan.id"):
        at = next(n for n, one in enumerate(samples) if one.whole and dissect(one.frame, one.link).find(name))
        for change in ("offset_bits", "value"):
            tree = dissect(samples[at].frame, samples[at].link)
            node = tree.find(name)
            setattr(node, change, getattr(node, change) + (8 if change == "offset_bits" else 1))
            assert pdml.differences(tree, fields[at], {name}), f"{name}: {change}"


def test_checksums_over_ipv6():
    by_name = {sample.name: dissect(sample.frame, sample.link) for sample in six.samples()}
    for name, tree in by_name.items():
        for field in ("tcp.checksum", "udp.checksum", "icmpv6.checksum"):
            node = tree.find(field)
            if node is not None and "error" not in name and "fragment" not in name:
                assert node.meaning.startswith("WRONG" if name == "wrong checksum" else "correct"), (name, node.meaning)
    bare = six.build.ipv6(six.A, six.B, 17, six.build.udp(1, 5, 2, 6, b"data", checksum=0))
    assert dissect(bare, C.LINK_IP).find("udp.checksum").meaning == "WRONG: UDP over IPv6 needs one (RFC 8200 8.1)"


def test_a_source_route_that_is_not_at_its_end():
    """The checksum is over the last destination, which is in the routing header."""
    data = six.build.upper6(six.A, six.B, 6, six.build.tcp(1, 4000, 2, 80, 2, 1, 0))
    for kind, addresses in ((0, six.LOCAL + six.B), (4, six.B + six.LOCAL)):
        route = bytes((6, 4, kind, 1)) + bytes(4) + addresses
        tree = dissect(six.build.ipv6(six.A, six.LOCAL, 6, data, route, first=43), C.LINK_IP)
        assert tree.find("tcp.checksum").meaning.startswith("correct")


def test_padding_of_one_byte():
    """tshark takes the rest of the header for the padding, so this is not compared."""
    packet = six.build.ipv6(six.A, six.B, 58, six.ping(), bytes((58, 0)) + six.ALERT + b"\0\0", first=0)
    found = dissect(packet, C.LINK_IP).find_all("ipv6.opt")
    assert [(node.offset, node.size, node.text) for node in found] == [
        (42, 4, "Router alert"),
        (46, 1, "Pad1"),
        (47, 1, "Pad1"),
    ]


@pytest.mark.parametrize(
    "packet, why",
    [
        (six.build.ipv6(six.A, six.B, 6, b"", version=5), "version 5 is not 6 (RFC 8200 3)"),
        (six.build.ipv6(six.A, six.B, 6, b"abc", length=100), "a payload length of 100, but only 3 bytes are there"),
        (six.build.ipv6(six.A, six.B, 0, b"\x3a\x05"), "the packet ends before the hop-by-hop options is complete"),
        (six.build.ipv6(six.A, six.B, 58, b"", b"\x3a\0\5\x09abcd", first=0), "the header ends before the option is complete (RFC 8200 4.2)"),
        (six.build.ipv6(six.A, six.B, 58, b"\x85\0\0\0" + bytes(4) + b"\1\0"), "an option with a length of 0 (RFC 4861 4.6)"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(packet, why):
    assert [node.text for node in dissect(six.build.ether(packet, 0x86DD)).errors()] == [why]


def harmless(frame, link=C.LINK_ETHERNET):
    tree = dissect(frame, link)
    for layer in tree.layers:
        inside(layer, 0, len(frame) * 8)
    assert len(list(tree.walk())) < 2000
    assert Summarizer().line(frame, link)
    found = headers.find(frame, link)
    assert found is None or found.at >= found.base + 20 or found.proto == -1


def test_frames_cut_off_anywhere():
    for sample in six.samples():
        for size in range(0, len(sample.frame), 3):
            harmless(sample.frame[:size], sample.link)


def test_spoiled_frames_do_no_harm():
    rng = random.Random(5)
    for sample in six.samples() * 3:
        frame = bytearray(sample.frame)
        for _ in range(rng.randint(1, 6)):
            frame[rng.randrange(len(frame))] = rng.choice((0, 1, 43, 44, 58, 60, 255, rng.getrandbits(8)))
        harmless(bytes(frame), sample.link)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=120), st.sampled_from((0, 6, 17, 43, 44, 51, 58, 60, 135)))
def test_random_bytes_after_the_header_do_no_harm(data, proto):
    harmless(six.build.ether(six.build.ipv6(six.A, six.B, proto, data), 0x86DD))
    harmless(six.build.ipv6(six.A, six.B, proto, data), C.LINK_IP)


def test_summaries_are_those_of_tcpdump():
    by_name = {sample.name: Summarizer().line(sample.frame, sample.link) for sample in six.samples()}
    ends = "IP6 2001:db8::1 > 2001:db8::2:"
    assert by_name["tcp"].startswith("IP6 2001:db8::1.4000 > 2001:db8::2.80: Flags [P.], seq 1:5, ack 1, win 65535")
    assert by_name["tcp"] == by_name["in a VLAN"] == by_name["bare"] == by_name["both"]
    assert by_name["udp"] == "IP6 2001:db8::1.5 > 2001:db8::2.6: UDP, length 4"
    assert by_name["hop by hop"] == f"{ends} ICMP6, echo request, id 7, seq 1, length 17"
    assert by_name["last fragment"] == f"{ends} icmp6 (frag 0x12345678:24@360)"
    assert by_name["duplicate address detection"].endswith(
        ":: > ff02::1:ff00:2: ICMP6, neighbor solicitation, who has 2001:db8::2, length 24"
    )
    assert by_name["error 1/4"].endswith("ICMP6, destination unreachable port, 2001:db8::2 udp port 53, length 60")
    assert by_name["IPv4 in two VLANs"] == "IP 10.0.0.1.5 > 10.0.0.2.6: UDP, length 4"
