"""Tunnels, DHCPv6, mDNS and LLMNR: each field against tshark's, of frames by hand and of real programs; and what hostile bytes do."""

import io
import random
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pystack_c.const as C
from pystack.stepper.capture.reader import CaptureReader
from pystack.stepper.dissect import MALFORMED, dissect
from pystack.stepper.dissect.tunnels import MOST_NESTED
from tests.stepper.dissect import pdml, six, tunneled
from tests.stepper.dissect.corpus import Sample
from tests.stepper.dissect.test_fuzz import check

needs_tshark = pytest.mark.skipif(shutil.which("tshark") is None, reason="needs tshark (package tshark)")
NAMES = {
    "gre", "gre.flags_and_version", "gre.flags.key", "gre.proto", "gre.key", "gre.sequence_number", "gre.checksum", "vxlan", "vxlan.vni",
    "ip.src", "ipv6.src", "icmp.seq", "icmpv6.echo.sequence_number", "arp.opcode", "tcp.srcport", "eth.src",
}  # fmt: skip
DHCPV6 = {
    "dhcpv6.msgtype", "dhcpv6.xid", "dhcpv6.option.type", "dhcpv6.option.length", "dhcpv6.iaid.t1", "dhcpv6.iaid.t2", "dhcpv6.iaaddr.ip",
    "dhcpv6.iaaddr.pref_lifetime", "dhcpv6.iaaddr.valid_lifetime", "dhcpv6.dns_server", "dhcpv6.status_code", "dhcpv6.requested_option_code",
    "dhcpv6.elapsed_time",
}  # fmt: skip


def real():
    if missing := six.missing() or ("" if shutil.which("dhclient") else "needs dhclient (package isc-dhcp-client)"):
        pytest.skip(missing)
    return [
        Sample(f"real {n}", raw.data) for n, raw in enumerate(CaptureReader(io.BytesIO(tunneled.captured()), "real"), 1)
    ]


def differences(samples, path, wanted=None):
    """What tshark shows otherwise, and the names that were compared. A wrong flag of DNS has the place of both bytes there."""
    ours = [dissect(sample.frame, sample.link) for sample in samples]
    names = {node.abbrev for tree in ours for node in tree.walk()} - {"", MALFORMED}
    found = []
    for sample, tree, fields in zip(samples, ours, pdml.tshark(path, samples), strict=True):
        for text in pdml.differences(tree, fields, names, sample.whole):
            if not text.startswith(
                ("dns.flags.", "dns.qry.qu", "dns.resp.cache_flush", "dns.qry.class", "dns.resp.class")
            ):
                found.append(f"{sample.name}: {text}")
    return found, names


@needs_tshark
def test_each_field_in_a_tunnel_is_where_tshark_has_it(tmp_path):
    found, names = differences(tunneled.by_hand(), tmp_path / "hand.pcapng")
    assert found == [], f"{len(found)} differences, such as:\n" + "\n".join(found[:20])
    assert names >= NAMES and names - pdml.known_names() == set()


@needs_tshark
def test_each_field_of_messages_is_where_tshark_has_it(tmp_path):
    found, names = differences(tunneled.messages(), tmp_path / "hand.pcapng")
    assert found == [], f"{len(found)} differences, such as:\n" + "\n".join(found[:20])
    assert names >= DHCPV6 | {
        "mdns",
        "llmnr",
        "dns.qry.qu",
        "dns.resp.cache_flush",
        "dns.flags.tentative",
        "dhcpv6.peeraddr",
    }
    assert names - pdml.known_names() == set()


@needs_tshark
def test_each_field_of_real_programs(tmp_path):
    """VXLAN of the kernel, and DHCPv6 between dnsmasq and dhclient."""
    found, names = differences(real(), tmp_path / "real.pcapng")
    assert found == [], f"{len(found)} differences, such as:\n" + "\n".join(found[:20])
    assert names >= DHCPV6 | {"vxlan.vni", "arp.opcode", "icmp.seq"}


def test_the_flags_of_a_class():
    by_name = {sample.name: dissect(sample.frame) for sample in tunneled.messages()}
    question, answer = by_name["mdns question"], by_name["mdns answer"]
    assert [(node.value, node.text) for node in question.find_all("dns.qry.qu")] == [(1, "set"), (0, "not set")]
    assert [node.text for node in question.find_all("dns.qry.class")] == ["IN", "IN"]
    assert question.find("mdns").text == "question: printer.local A"
    assert answer.find("mdns").text == "says: 10.1.0.7, 10.1.0.8" and answer.find("dns.resp.cache_flush").value == 1
    assert by_name["llmnr answer"].find("dns.flags.tentative").value == 1
    assert by_name["llmnr answer"].find("llmnr").text == "answer to wpad A: 10.1.0.7"


def test_tunnels_inside_each_other_are_looked_into_up_to_a_bound():
    for depth in (1, MOST_NESTED):
        assert dissect(tunneled.nested(depth), C.LINK_IP).find("icmp") is not None
    deep = dissect(tunneled.nested(MOST_NESTED + 1), C.LINK_IP)
    assert deep.find("icmp") is None and len(deep.find_all("gre")) == MOST_NESTED + 1 and not deep.errors()
    assert f"in more than {MOST_NESTED} tunnels" in deep.find("data.data").meaning
    deepest = dissect(tunneled.nested(1000), C.LINK_IP)
    assert len(deepest.find_all("gre")) == MOST_NESTED + 1


def test_checksums_in_a_tunnel():
    for sample in tunneled.by_hand():
        for node in dissect(sample.frame).walk():
            if node.abbrev.endswith(".checksum") and node.abbrev not in ("gre.flags.checksum", "udp.checksum"):
                assert node.meaning.startswith("correct"), (sample.name, node)


BASES = tuple(sample.frame for sample in (*tunneled.by_hand(), *tunneled.messages()))


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 1 << 48))
def test_hostile_bytes_in_tunnels_and_messages(seed):
    chance = random.Random(seed)
    data = bytearray(chance.choice(BASES))
    for _ in range(chance.choice((0, 1, 2, 5))):
        data[chance.randrange(12, len(data))] = chance.choice((0, 1, 4, 41, 47, 255, chance.randrange(256)))
    check(bytes(data[: chance.randrange(len(data))] if chance.random() < 0.3 else data), C.LINK_ETHERNET)
