"""No bytes make the dissection raise, or show a place outside the frame."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

import pystack_c.const as C
from pystack.stepper.dissect import dissect, hex_rows
from tests.stepper.dissect import corpus
from tests.support import build

LINKS = st.sampled_from((C.LINK_ETHERNET, C.LINK_IP, C.LINK_LOOPBACK))
BASES = tuple(sample for sample in (*corpus.by_hand(), *corpus.at_random(3)))


def check(data, link):
    tree = dissect(data, link)
    bits = len(data) * 8
    for layer in tree.layers:
        inside(layer, 0, bits)
        for node in layer.walk():
            if isinstance(node.value, int):
                assert 0 <= node.value < 1 << max(node.width_bits, 1)
                assert node.value == number(data, node)
            assert "\n" not in node.text and "\n" not in node.meaning
            assert sum(bin(cell.mark).count("1") for row in hex_rows(data, node) for cell in row) == node.width_bits
    if data and not tree.errors() and link == C.LINK_ETHERNET:
        covered = {byte for node in tree.walk() if not node.children for byte in range(node.offset, node.end)}
        assert covered == set(range(len(data)))  # each byte is a field's


def number(data, node):
    """The node's bits, the slow and simple way."""
    text = "".join(f"{byte:08b}" for byte in data[node.offset : node.end])
    start = node.offset_bits - node.offset * 8
    return int(text[start : start + node.width_bits] or "0", 2)


def inside(node, first, last):
    assert first <= node.offset_bits and node.offset_bits + node.width_bits <= last, node
    at = 0
    for child in node.children:
        inside(child, 0, last)
        assert child.offset_bits >= at or child.abbrev == "_ws.malformed", child
        at = max(at, child.offset_bits)


@settings(max_examples=200)
@given(st.binary(max_size=120), LINKS)
@example(b"", C.LINK_ETHERNET)
def test_random_bytes(data, link):
    check(data, link)


@st.composite
def spoiled(draw):
    """A good frame with some bytes changed and its end cut off; checksums made right again or not."""
    sample = draw(st.sampled_from(BASES))
    data = bytearray(sample.frame)
    for _ in range(draw(st.integers(0, 4))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    data = bytes(data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data)
    if draw(st.booleans()) and sample.link == C.LINK_ETHERNET:
        data = build.fixup(data)
    return data, sample.link


#: a router alert option of 11 bytes, seven more than it has fields for
LONG_ALERT = bytes.fromhex(
    "02000000000202000000000108004800002c000700004001"
    "53b20a0000010a000002940b080a0000010000000001"
    "0800b0821234567870696e67"
)


@settings(max_examples=400)
@given(spoiled())
@example((LONG_ALERT, C.LINK_ETHERNET))
def test_spoiled_frames(case):
    check(*case)
