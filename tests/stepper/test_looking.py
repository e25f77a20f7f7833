"""Finding things: the last change of a value, search over everything, conversations and what they said."""

import random
import time

import pytest

from pystack.stepper import Timeline, messages, scenarios, search, streams
from pystack.stepper.changed import last_change
from pystack.stepper.web import data
from pystack.trace import pcapng
from tests.stepper.test_command import run
from tests.support import build

A, B = 0x0A000001, 0x0A000002


@pytest.fixture(scope="module")
def timeline():
    return scenarios.get("loss-fast-retransmit").timeline()


# -- the last change of a value ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["cwnd", "ssthresh", "snd_una", "state", "srtt", "total_retrans", "iss"])
def test_the_last_change_is_the_one_that_a_slow_search_finds(timeline, field):
    key = next(key for key in timeline.connections if key.startswith("a tcp"))
    places = random.Random(3).sample(range(len(timeline.events)), 25)
    for place in places:
        wanted = -1
        for index in range(place - 1, -1, -1):
            if field in timeline.diff(index).get(key, {}):
                wanted = index
                break
        found = last_change(timeline, place, key, field)
        # a new connection sets all its fields, even those that are None before and after
        assert found == wanted or (wanted < 0 and timeline.tcb(found - 1, key) is None), (place, field)
        if found >= 0:
            assert timeline.tcb(found, key)[field] == timeline.tcb(place - 1, key)[field]


def test_it_walks_back_from_change_to_change(timeline):
    key = next(key for key in timeline.connections if key.startswith("a tcp"))
    seen = []
    place = len(timeline.events) - 1
    while (place := last_change(timeline, place, key, "cwnd")) >= 0:
        seen.append(place)
    assert len(seen) > 10 and seen == sorted(set(seen), reverse=True)
    values = [timeline.tcb(place, key)["cwnd"] for place in seen]
    assert all(one != other for one, other in zip(values[:-2], values[1:-1]))


@pytest.mark.parametrize(("key", "field"), [("nobody", "cwnd"), ("", "cwnd"), (None, "nothing")])
def test_what_does_not_exist_is_an_error(timeline, key, field):
    with pytest.raises(LookupError):
        last_change(timeline, 50, timeline.connections[0] if key is None else key, field)


# -- search --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("fast retransmission", "event"),
        ("RFC 8985 6.2", "event"),
        ("cwnd=14480", "value"),
        ("snd_wnd 262144", "value"),
        ("ip.ttl 64", "frame"),
        ("tcp.options.sack", "frame"),
        ("seq 5793:7241", "frame"),
    ],
)
def test_everything_is_searched(timeline, text, where):
    hits, following = search.search(timeline, text, seconds=60)
    assert where in [hit.where for hit in hits], hits[:3]
    for hit in hits[:20]:
        line = next(
            line
            for line in all_lines(timeline, hit.event)
            if all(word in line.lower() for word in text.lower().split())
        )
        assert line
    assert following == -1 or len(hits) == 200


def all_lines(timeline, index):
    entry = timeline.events[index]
    yield search.event_line(entry)
    for key, fields in timeline.diff(index).items():
        for name, (_, after) in fields.items():
            yield f"{key} {name} {after} {name}={after}"
    if entry.frame >= 0:
        yield from search.frame_lines(timeline.frames[entry.frame])


def test_what_is_not_there_is_not_found(timeline):
    assert search.search(timeline, "no such words anywhere", seconds=60) == ([], -1)


def test_a_search_goes_on_where_its_time_ended(timeline):
    whole, _ = search.search(timeline, "ack", most=10_000, seconds=60)
    found, following, turns = [], 0, 0
    while following >= 0:
        part, following = search.search(timeline, "ack", following, most=50, seconds=0.0)
        found += part
        turns += 1
    assert found == whole and turns > 5 and len(whole) > 100


@pytest.mark.parametrize("text", ["", "   ", "x" * 201, "a b c d e f g h i j k"])
def test_a_search_is_bounded(timeline, text):
    with pytest.raises(ValueError, match="1 to 10 words and at most 200 letters"):
        search.search(timeline, text)


# -- conversations -------------------------------------------------------------------------------------------------------


def test_what_both_sides_of_http_said():
    timeline = scenarios.get("http-get").timeline()
    (talk,) = streams.conversations(timeline)
    assert (talk.protocol, talk.server, sum(talk.frames)) == ("TCP", "10.0.0.2:80", 17)
    pieces, cut = streams.follow(timeline, talk)
    said = [b"".join(piece.data for piece in pieces if piece.way == way) for way in (0, 1)]
    assert said[0] == b"GET / HTTP/1.0\r\nHost: b\r\n\r\n" and not cut
    assert said[1].startswith(b"HTTP/1.0 200 OK\r\nContent-Length: 5000\r\n\r\n0000000\n") and len(said[1]) > 5000
    assert talk.data == [len(said[0]), len(said[1])]


def test_a_packet_that_a_router_passes_on_counts_once():
    """The gateway and each router send a packet again, so the recording has it several times."""
    timeline = scenarios.get("post").timeline()
    talks = streams.conversations(timeline)
    asked, upload = talks[0], talks[2]
    assert (asked.protocol, asked.frames, asked.data) == ("UDP", [1, 1], [38, 54])
    own = [
        entry
        for entry in timeline.events
        if entry.kind == "tcp.out" and upload.client in entry.conn and upload.server in entry.conn
    ]
    sent = [[entry for entry in own if (entry.host == "client") == (way == 0)] for way in (0, 1)]
    assert upload.frames == [len(entries) for entries in sent]
    assert upload.data == [sum(entry.fields["length"] for entry in entries) for entries in sent]


def test_an_arrow_of_dns_says_its_question_once():
    """The control: of HTTP/2, what the message says stands beside the arrow."""
    timeline = scenarios.get("dns-recursion").timeline()
    labels = [data._frame(frame)["label"] for frame in timeline.frames]
    asked = [label for label in labels if label.startswith("DNS: question: ")]
    assert len(asked) >= 4 and all(label.count("DNS") == 1 for label in labels if "DNS" in label)
    pytest.importorskip("h2")
    told = [frame for frame in scenarios.get("http2").timeline().frames if messages.beside(frame)]
    assert told and all(messages.beside(frame) in data._frame(frame)["label"] for frame in told)


def test_retransmissions_and_lost_segments_are_said_once(timeline):
    (talk,) = streams.conversations(timeline)
    pieces, _ = streams.follow(timeline, talk)
    said = b"".join(piece.data for piece in pieces)
    assert said == b"".join(f"{number:07d}\n".encode() for number in range(60_000 // 8 + 1))[:60_000]
    assert sum(talk.data) > 60_000  # the control: one segment was sent twice


def test_datagrams_are_said_once_although_a_router_sends_them_again():
    timeline = scenarios.get("nat").timeline()
    talks = streams.conversations(timeline)
    assert {talk.protocol for talk in talks} == {"UDP"} and len(talks) >= 4
    for talk in talks:
        pieces, _ = streams.follow(timeline, talk)
        assert pieces and len({(piece.way, piece.data) for piece in pieces}) == len(pieces)


def capture(tmp_path, frames):
    path = tmp_path / "made.pcapng"
    with open(path, "wb") as out:
        writer = pcapng.PcapngWriter(out)
        interface = writer.interface("eth0")
        for number, frame in enumerate(frames):
            writer.packet(interface, number * 1_000_000, frame)
    return Timeline.load(str(path))


def segment(seq, data, flags=0x18):
    return build.ether(build.ipv4(A, B, 6, build.tcp(A, 4000, B, 80, flags, seq, 1, data)))


def test_bytes_in_any_order_with_overlaps_are_put_in_order(tmp_path):
    text = bytes(random.Random(5).randbytes(3000))
    chooser = random.Random(6)
    pieces = [(at, text[at : at + 100 + chooser.randrange(60)]) for at in range(0, 3000, 100)]
    rest = pieces[1:]
    chooser.shuffle(rest)
    start = 0xFFFFFF00  # the numbers wrap
    frames = [segment((start + at) % 2**32, data) for at, data in [pieces[0], *rest, *pieces[:5]]]
    timeline = capture(tmp_path, frames)
    (talk,) = streams.conversations(timeline)
    said, _ = streams.follow(timeline, talk)
    assert b"".join(piece.data for piece in said) == text


def test_a_hostile_capture_costs_bounded_time_and_memory(tmp_path):
    """Thousands of segments that never become readable, of one byte each, and a stream that is longer than is shown."""
    frames = [segment(0, b"x")] + [segment((2 * n + 100) % 2**32, b"y") for n in range(4000)]
    frames += [segment((1 + 1400 * n) % 2**32, b"z" * 1400) for n in range(300)]
    timeline = capture(tmp_path, frames)
    (talk,) = streams.conversations(timeline)
    began = time.process_time()
    pieces, cut = streams.follow(timeline, talk)
    assert cut and sum(len(piece.data) for piece in pieces) <= streams.MOST_BYTES
    assert time.process_time() - began < 60  # without the bound, it is minutes
    assert streams.readable(b"\x1b[2J\x00a\r\n\xff") == "·[2J·a\r\n·"


@pytest.mark.parametrize("cut", range(0, 60, 3))
def test_headers_that_are_cut_off_carry_nothing(cut):
    whole = segment(1, b"data")
    assert streams.payload(whole[:cut], 1) is None or cut >= 54
    assert streams.payload(whole, 1).data == b"data"


def test_the_commands():
    said = run("dns-recursion", "--conversations")
    assert "UDP" in said and said.count("\n") >= 5
    said = run("http-get", "--follow", "1")
    assert "> GET / HTTP/1.0" in said and "< HTTP/1.0 200 OK" in said
    assert "no conversation 7; there are 1" in run("http-get", "--follow", "7", status=1)


def test_the_numbers_of_a_capture_are_those_of_its_own_list(tmp_path):
    """That list has the TCP connections alone."""
    frames = [build.ether(build.ipv4(A, B, 17, build.udp(A, 4000, B, 53, b"query"))), segment(1, b"GET / HTTP/1.1\r\n")]
    timeline = capture(tmp_path, frames)
    listed = run(timeline.name, "--conversations")
    assert "   1 10.0.0.1:4000 > 10.0.0.2:80 " in listed and ":53" not in listed
    assert run(timeline.name, "--follow", "1") == "> GET / HTTP/1.1\n"
    assert "no conversation 2; there are 1" in run(timeline.name, "--follow", "2", status=1)
