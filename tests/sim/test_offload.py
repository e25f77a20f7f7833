"""Offload never changes behaviour: with TSO through the software segmenter, the wire shows the same segments."""

import hashlib

import pytest

from pystack.phy.match import tcp_offset
from pystack.trace.pcapng import OUTBOUND
from tests.sim.hostile import IMPAIRMENTS, Transfer


def segments_of(offload: bool, seed: int, size: int, impairments: dict, **settings) -> tuple[list, int, int]:
    """All TCP frames of both hosts but for IP ID and checksum, with their times; pieces given to the card, the longest."""
    transfer = Transfer(seed, size, impairments, offload=offload, **settings)
    wire: list = []
    pieces: list = []
    for host in (transfer.a, transfer.b):
        host.ports[0].taps.append(recorder(host.name, wire))
        count_pieces(host, pieces)
    transfer.run()
    return wire, len(pieces), max(pieces)


def recorder(name, wire):
    def tap(time, direction, frame):
        if direction == OUTBOUND and tcp_offset(frame):
            normal = frame[:18] + b"\0\0" + frame[20:24] + b"\0\0" + frame[26:]
            wire.append((time, name, hashlib.sha256(normal).digest()))

    return tap


def count_pieces(host, pieces):
    send = host._send

    def counting(tx):
        pieces.append(len(tx))
        send(tx)

    host._send = counting


LINKS = {
    "clean": {},
    "lossy": {"loss": 0.03},
    "narrow": {"rate": 20_000_000, "queue": 20},
    "hostile": IMPAIRMENTS,
}


WRAP = {"tcp_isn": 2**32 - 100_000}  # both sides' sequence numbers pass zero on the way


@pytest.mark.parametrize("settings", [{}, {"tcp_sack": False}, WRAP], ids=["sack", "newreno", "wrap"])
@pytest.mark.parametrize("link", LINKS)
def test_the_same_segments_at_the_same_times(link, settings):
    for seed in (1, 2, 16, 30):
        plain, plain_pieces, plain_most = segments_of(False, seed, 300_000, LINKS[link], **settings)
        offloaded, pieces, most = segments_of(True, seed, 300_000, LINKS[link], **settings)
        assert len(plain) == plain_pieces > 400 and plain_most <= 1514
        assert plain == offloaded
        # the control: there were big pieces to cut
        assert pieces < len(offloaded) and most >= 2 * 1448
