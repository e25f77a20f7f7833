"""Our dissection against tshark's, over frames of our own: the place, size and value of each field that we name."""

import copy
import shutil

import pytest

from pystack.stepper.dissect import MALFORMED, dissect
from tests.stepper.dissect import corpus, pdml

pytestmark = pytest.mark.skipif(shutil.which("tshark") is None, reason="needs tshark")

PROTOCOLS = {"eth", "arp", "ip", "icmp", "udp", "tcp"}


class Pairs:
    """The corpus, dissected by both."""

    def __init__(self, samples, path):
        self.samples = samples
        self.ours = [dissect(sample.frame, sample.link) for sample in samples]
        self.theirs = pdml.tshark(path, samples)
        self.names = {node.abbrev for tree in self.ours for node in tree.walk()} - {"", MALFORMED}

    def differences(self):
        found = []
        for sample, tree, fields in zip(self.samples, self.ours, self.theirs):
            for text in pdml.differences(tree, fields, self.names, sample.whole):
                found.append(f"{sample.name}: {text}")
        return found


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return Pairs(list(corpus.samples()), tmp_path_factory.mktemp("pdml") / "whole.pcapng")


def test_each_field_is_where_tshark_has_it(pairs):
    found = pairs.differences()
    assert found == [], f"{len(found)} differences, such as:\n" + "\n".join(found[:20])


def test_frames_cut_off_anywhere(tmp_path):
    cut = Pairs(corpus.truncated(), tmp_path / "cut.pcapng")
    found = cut.differences()
    assert found == [], f"{len(found)} differences, such as:\n" + "\n".join(found[:20])
    assert sum(bool(tree.errors()) for tree in cut.ours) > 100  # those cut inside a header


def test_the_corpus_has_every_protocol_and_option(pairs):
    assert pairs.names >= PROTOCOLS | {
        "tcp.options.mss", "tcp.options.wscale", "tcp.options.sack_perm", "tcp.options.sack", "tcp.options.timestamp",
        "tcp.options.tfo", "tcp.options.acc_ecn", "tcp.options.md5", "tcp.options.unknown", "tcp.options.experimental",
        "ip.options.record_route", "ip.options.timestamp", "ip.options.route", "ip.options.source_route",
        "ip.options.routeralert", "icmp.mtu", "icmp.pointer", "icmp.redir_gw", "icmp.originate_timestamp",
        "eth.padding", "data.data", "tcp.payload", "udp.payload",
    }  # fmt: skip
    assert len(pairs.samples) > 300


def test_each_name_is_one_of_wiresharks(pairs):
    assert pairs.names - pdml.known_names() == set()


def first_with(pairs, name):
    """The first frame of the corpus that has this field, as tshark and we see it."""
    for sample, tree, fields in zip(pairs.samples, pairs.ours, pairs.theirs):
        if sample.whole and tree.find(name) is not None:
            return tree, fields
    raise AssertionError(name)


def shifted(bits):
    def change(node):
        node.offset_bits += bits

    return change


def wider(node):
    node.width_bits += 8


def other(node):
    node.value = node.value + 1 if isinstance(node.value, int) else node.value + b"x"


def test_control_one_byte_off_is_seen_in_every_field(pairs):
    for name in sorted(pairs.names):
        tree, fields = first_with(pairs, name)
        for what, change in (("one byte on", shifted(8)), ("one byte back", shifted(-8)), ("one byte longer", wider)):
            changed = copy.deepcopy(tree)
            change(changed.find(name))
            assert pdml.differences(changed, fields, pairs.names) != [], f"{name}, {what}: nobody saw it"


def test_control_one_bit_off_is_seen_in_every_part_of_a_byte(pairs):
    parts = [name for name in sorted(pairs.names) if first_with(pairs, name)[0].find(name).bits]
    assert len(parts) >= 20
    for name in set(parts) - {"tcp.flags"}:  # of which tshark tells the bytes and the value only
        tree, fields = first_with(pairs, name)
        for bits in (-1, 1):
            changed = copy.deepcopy(tree)
            shifted(bits)(changed.find(name))
            assert pdml.differences(changed, fields, pairs.names) != [], f"{name}, {bits:+} bit: nobody saw it"


def test_control_another_value_is_seen_in_every_field(pairs):
    for name in sorted(pairs.names - PROTOCOLS):
        tree, fields = first_with(pairs, name)
        changed = copy.deepcopy(tree)
        other(changed.find(name))
        assert pdml.differences(changed, fields, pairs.names) != [], f"{name}: nobody saw it"


def test_checksums_are_right_where_tshark_says_so(pairs):
    """1: right, 0: wrong, 2: not checked, 3: none there."""
    seen = set()
    for sample, tree, fields in zip(pairs.samples, pairs.ours, pairs.theirs):
        for name in ("ip.checksum", "tcp.checksum", "udp.checksum", "icmp.checksum"):
            status = {field.pos: field.show for field in fields if field.name == f"{name}.status"}
            for node in tree.find_all(name):
                theirs = status.get(node.offset, "2")
                ours = {"correct": "1", "WRONG": "0", "not": "3"}.get(node.meaning.split()[0].rstrip(":,"), "2")
                if "offload" in node.meaning:
                    ours = theirs  # they say wrong, or take it for right
                if node.offset > 60 and "cannot" in node.meaning:
                    continue  # a quote: they check it where they can
                assert ours == theirs, f"{sample.name}: {name} {node.text}: {node.meaning}; tshark's status {theirs}"
                seen.add((name, ours))
    assert {("ip.checksum", "1"), ("ip.checksum", "0"), ("tcp.checksum", "1"), ("tcp.checksum", "0")} <= seen
    assert {("udp.checksum", "1"), ("udp.checksum", "0"), ("udp.checksum", "3"), ("icmp.checksum", "1")} <= seen


#: what tshark shows and we do not: other names for the same bytes, what it calculates, what a payload might be
ONLY_THEIRS = {
    "num", "len", "caplen", "timestamp", "raw", "tcp.port", "udp.port", "ip.addr", "tcp.seq_raw", "tcp.ack_raw", "tcp.window_size",
    "tcp.window_size_scalefactor", "tcp.flags.str", "tcp.options.wscale.multiplier", "tcp.options.tfo.request", "icmp.ident_le",
    "icmp.seq_le", "icmp.data_time", "icmp.data_time_relative", "ip.cur_rt", "udp.checksum.status", "tcp.options.sack.dsack_le",
    "tcp.options.sack.dsack_re", "discard", "discard.data",
}  # fmt: skip
ONLY_THEIRS_ENDINGS = ("_resolved", ".oui", ".lg", ".ig", "_calculated", "host", "eth.addr")


def test_nothing_that_tshark_shows_is_missing_here(pairs):
    missing = {}
    for sample, fields in zip(pairs.samples, pairs.theirs):
        for field in fields:
            known = field.name in pairs.names or field.name in ONLY_THEIRS or field.name.endswith(ONLY_THEIRS_ENDINGS)
            if field.size and not known and not field.name.startswith("tapa"):  # what it takes a fragment for
                missing.setdefault(field.name, sample.name)
    assert missing == {}
