"""Lab 44: aioquic on simulated sockets gives the same times on each run, and the lab says which extra it needs."""

import pytest

from pystack.labs import folders
from pystack.testing.lab import lab_net


@pytest.fixture
def lab():
    pytest.importorskip("aioquic", reason="needs the extra `quic`")
    return folders.lab_of("44")


def test_what_aioquic_draws_by_chance_changes_no_time(lab):
    over_quic = lab.module("experiment").over_quic.__wrapped__
    assert over_quic() == over_quic()


def test_the_look_opens_at_the_lost_packet(lab):
    for _ in range(2):
        _, cursor, _ = lab.looks()[0].open()
        lost = [frame for frame in cursor.timeline.frames if frame.fate == "lost"]
        assert [frame.number for frame in lost] == [422] and cursor.entry.time == lost[0].time == 2_200_000_000


def test_data_in_both_directions_arrives_whole(lab):
    ends, net = lab.module("ends"), lab_net()
    got = {"client": b"", "server": b""}

    def serve(stream, data):
        got["server"] += data
        server.send(stream, data.upper())

    def take(stream, data):
        got["client"] += data

    client, server = ends.quic_pair(net, serve, take)
    words = b"some words, and some more. " * 5000
    client.on_ready = lambda: client.send(0, words)
    for number in (7, 40):
        net.link.ab.drop(number)
    net.net.run(until=20_000_000_000)
    assert got == {"client": words.upper(), "server": words}


def test_without_aioquic_only_the_values_of_quic_are_skipped(monkeypatch):
    monkeypatch.setattr("pystack.labs.values.find_spec", lambda name: None)
    results = folders.lab_of("44").measure()
    skipped = {result.value.name for result in results if result.skipped.startswith("needs aioquic")}
    assert skipped == {result.value.name for result in results if result.value.name.startswith("quic")} and skipped
    assert "pip install 'pystack[quic]'" in next(result.skipped for result in results if result.skipped)
    assert all(result.right for result in results)
