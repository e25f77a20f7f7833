"""The log of segments that tests and labs look at, and its checksum."""

import random

from pystack.testing.lab import MS, lab_net, pattern
from pystack.testing.segments import ones


def word_by_word(data):
    """The sum as RFC 1071, section 1 describes it."""
    total = 0
    for at in range(0, len(data), 2):
        total += int.from_bytes(data[at : at + 2].ljust(2, b"\0"), "big")
        total = (total & 0xFFFF) + (total >> 16)
    return total


def test_the_sum_is_that_of_the_words():
    generator = random.Random(1071)
    cases = [generator.randbytes(generator.randrange(80)) for _ in range(500)]
    cases += [b"", b"\0", bytes(6), b"\xff\xff", b"\xff\xff" * 9, b"\xff\xfe\0\1", b"\1", bytes(1500), b"\xff" * 1499]
    for data in cases:
        assert ones(data) == word_by_word(data), data


def test_a_transfer_without_the_log_is_the_same():
    found = []
    for log in (True, False):
        lab = lab_net(20 * MS, log=log)
        lab.link.ab.drop(9)
        client, server = lab.connected()
        elapsed = lab.upload(pattern(100_000), client, server)
        found.append((elapsed, lab.link.ab.stats.frames, lab.link.ba.stats.frames))
        assert sorted(lab.log.sent) == (["a", "b"] if log else [])
    assert found[0] == found[1]
