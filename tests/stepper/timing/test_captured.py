"""Where the time went in a capture: the inferred spans beside the exact ones of the same run, which was recorded on all hosts."""

import io
import json
import random

import pytest
from click.testing import CliRunner

from pystack.cli.main import cli
from pystack.sim.network import MS
from pystack.sim.programs import sleep, spawn
from pystack.stepper import Timeline, scenarios
from pystack.stepper.capture.tcp import Direction
from pystack.stepper.plot import waterfall
from pystack.stepper.scenarios.base import Scenario, finish, listener, pair, stream
from pystack.stepper.timing import CAUSES, WHYS, PathError, path
from pystack.stepper.timing.index import Lookup
from pystack.stepper.timing.requests import Requests
from pystack.stepper.timing.talk import CapturedTalk, turns
from pystack.trace.errors import TraceError
from pystack.trace.pcapng import PcapngReader
from tests.stepper.capture import corpus
from tests.stepper.timing import causes
from tests.stepper.timing.cases import CASES, QUICK
from tests.stepper.timing.tls import messages, tls

assert causes.D  # it adds cases
#: causes that a timer makes: the frames at both ends of it are in the capture, so the inference is exact
TIMED = ("delayed ACK", "RTO", "tail loss probe", "reordering wait")
#: runs in which a client's own frames cannot say what it waited for, and why
OUT_OF_SIGHT = {
    "a client that learns": "the client waits for another server",
    "a client that asks another": "the client waits for another server",
    "a client that looks up a name": "the client waits for its resolver, which is another conversation",
    "a proxy that passes on what it has": "the proxy waits for another server",
    "the window update is lost": "the program seems to read only when the probe is answered",
    "8 segments at": "the pace of a sender looks like a program that writes slowly",
}


def captured(timeline, host):
    return Timeline.of(corpus.pcapng(corpus.seen_by(timeline, host)), "lan.pcapng")


def check(found):
    """The spans follow each other without a gap, and all are marked. Returns the ns of each cause."""
    assert found.spans[0].start == found.begin and found.spans[-1].end == found.end
    for one, two in zip(found.spans, found.spans[1:]):
        assert one.end == two.start
    assert sum(span.duration for span in found) == found.elapsed > 0
    sums = {}
    for span in found:
        assert span.duration > 0 and span.inferred and span.cause in CAUSES and span.why in WHYS and span.frame
        sums[span.cause] = sums.get(span.cause, 0) + span.duration
    return sums


def exact(found):
    sums = {}
    for (cause, _), time in found.totals().items():
        sums[cause] = sums.get(cause, 0) + time
    return sums


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_client_of_a_known_run_infers_its_causes(case):
    timeline = case.scenario().timeline()
    known = path(timeline)
    capture = captured(timeline, known.conn.split()[0])
    found = path(capture)
    sums, right = check(found), exact(known)
    assert "unknown" not in sums
    arp = sum(time for (_, why), time in known.totals().items() if why == "ARP") + right.get("ARP retry", 0)
    assert found.elapsed == known.elapsed - arp  # a connection begins at its SYN
    if any(case.name.startswith(words) for words in OUT_OF_SIGHT):
        return
    for cause in TIMED:
        assert sums.get(cause, 0) == right.get(cause, 0)
    # Thinking is exact up to what a frame met on its way, because this happened where nobody captured.
    talk = CapturedTalk(capture, Lookup(capture), found.conn)
    met = sum(right.get(cause, 0) for cause in ("serialization", "queueing", "jitter", "shaping"))
    relayed = (
        sum(time for (_, why), time in known.totals().items() if why == "proxy buffer") if "proxy" in case.name else 0
    )
    for cause in ("client thinking", "server thinking"):
        assert abs(sums.get(cause, 0) - right.get(cause, 0)) <= met + relayed + max(talk.trips), cause


def test_the_exceptions_are_runs_that_exist():
    assert all(any(case.name.startswith(words) for case in CASES) for words in OUT_OF_SIGHT)


@pytest.mark.parametrize("name", ["nagle", "http-get", "slow-start"])
def test_a_scenario_is_inferred_as_it_is(name):
    """Nothing on these links depends on the size of a frame, so even the reasons are exact at the client."""
    timeline = scenarios.get(name).timeline()
    found, known = path(captured(timeline, "a")), path(timeline)
    check(found)

    def reasons(one):
        whole = {}
        for (cause, why), time in one.totals().items():
            if cause in ("propagation", "on the way", "client thinking"):
                # One way of the first request is thinking, if the client waits until it has come there
                cause = "way"
            whole[cause, why] = whole.get((cause, why), 0) + time
        return whole

    assert found.elapsed == known.elapsed and reasons(found) == reasons(known)


def test_the_handshake_of_tls_and_its_computing():
    timeline = Scenario("tls", lambda net: tls(net, messages()), "", "", (), "").timeline()
    found, known = path(captured(timeline, "a")), path(timeline)
    check(found)
    assert exact(found)["TLS computing"] == exact(known)["TLS computing"]
    assert found.totals()["on the way", "TLS handshake"] == known.totals()["propagation", "TLS handshake"]


def test_the_post_at_its_client():
    """The flagship: the exact path goes through five hosts, and the client sees one of its connections."""
    timeline = scenarios.get("post").timeline()
    known = path(timeline)
    found = path(captured(timeline, "client"))
    check(found)
    sums, right = found.totals(), exact(known)
    assert sums["delayed ACK", "Nagle"] == 40 * MS  # the client's own; the other four are thinking of the server
    assert abs(exact(found)["TLS computing"] - right["TLS computing"]) < 0.1 * MS
    assert 160 * MS <= exact(found)["server thinking"] <= 190 * MS
    assert sums["on the way", "loss, fast retransmit"] >= 40 * MS


def captures():
    yield from corpus.of_scenarios()
    yield from corpus.of_transfers()


def test_the_sums_are_exact_in_every_capture_of_the_corpus():
    count = seen = 0
    for name, data in captures():
        timeline = Timeline.of(data, name)
        requests = Requests(timeline)
        for conn in timeline.connections:
            try:
                found = requests.path(conn)
            except PathError as error:
                assert "no time passes" in str(error) or "no TCP segment" in str(error), name
                continue
            count += 1
            seen += len(found.spans)
            check(found)
    assert count > 100 and seen > 1000


def test_one_direction_alone_is_unknown():
    timeline = scenarios.get("nagle").timeline()
    frames = corpus.seen_by(timeline, "a")
    mine = [one for one in frames if one[1][26:30] == bytes([10, 0, 0, 1])]
    assert 0 < len(mine) < len(frames)
    found = path(Timeline.of(corpus.pcapng(mine), "lan.pcapng"))
    assert "unknown" in check(found)


def test_a_capture_that_lost_frames_or_was_changed_has_exact_sums_or_one_clear_error():
    timeline = scenarios.get("loss-fast-retransmit").timeline()
    frames = corpus.seen_by(timeline, "a")
    tried = 0
    for seed in range(40):
        chance = random.Random(seed)
        kept = []
        for time, data, link in frames:
            if chance.random() < 0.2:
                continue
            if chance.random() < 0.1:
                at = chance.randrange(34, len(data))
                data = data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :]
            kept.append((time, data, link))
        try:
            requests = Requests(Timeline.of(corpus.pcapng(kept), "lan.pcapng"))
            for conn in requests.timeline.connections:
                check(requests.path(conn))
                tried += 1
        except (PathError, TraceError) as error:
            assert "\n" not in str(error)
    assert tried > 20


# -- the command ---------------------------------------------------------------------------------------------------------


def three_requests(net):
    """One connection, and three requests of HTTP/1.1 on it. The server thinks 7, 0 and 90 ms."""
    a, b, _ = pair(net, a=QUICK, b=QUICK, delay=10 * MS)
    waiting = listener(b)
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    questions = [b"%s HTTP/1.1\r\nHost: b\r\n\r\n" % line for line in (b"GET /one", b"POST /two", b"GET /three")]

    def server():
        sock = yield waiting.accept()
        for question, thinks in zip(questions, (7, 0, 90)):
            yield sock.recv_exactly(len(question))
            yield sleep(thinks * MS)
            yield sock.sendall(answer)

    def client():
        sock = stream(a)
        yield sock.connect("10.0.0.2", 80)
        for question in questions:
            yield sock.sendall(question)
            yield sock.recv_exactly(len(answer))
            yield sleep(30 * MS)

    finish(net, spawn(net, server()), spawn(net, client()))


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    timeline = Scenario("three", three_requests, "", "", (), "").timeline()
    made = tmp_path_factory.mktemp("captures") / "three.pcapng"
    made.write_bytes(corpus.pcapng(corpus.seen_by(timeline, "a")))
    return made


def said(*args, status=0):
    result = CliRunner().invoke(cli, ["time", *map(str, args)], standalone_mode=False)
    assert (result.exception is not None) == bool(status), result.output
    return str(result.exception) if status else result.output


def test_each_request_is_listed_and_is_a_part_of_its_own(file):
    text = said(file)
    rows = [line.split() for line in text.splitlines() if "--from" in line]
    assert [row[-2:] for row in rows] == [["GET", "/one"], ["POST", "/two"], ["GET", "/three"]]
    assert [row[0] for row in rows] == ["27.000", "20.000", "110.000"]
    third = json.loads(said(file, *rows[2][2:6], "--json"))
    assert third["elapsed"] == 110 * MS
    sums = {}
    for span in third["spans"]:
        assert span["inferred"]
        sums[span["cause"]] = sums.get(span["cause"], 0) + span["end"] - span["start"]
    assert sums == {"on the way": 20 * MS, "server thinking": 90 * MS}


@pytest.mark.parametrize("lost", [(), (b"POST /two",), (b"GET /three",), (b"GET /one", b"POST /two")])
def test_what_the_capture_lacks_is_said(lost, tmp_path):
    """The program that captured lost frames, which the hosts have received. The list of requests has the others."""
    frames, missed = [], 0
    for time, data, link in corpus.seen_by(Scenario("three", three_requests, "", "", (), "").timeline(), "a"):
        one = next((text for text in lost if text in data), b"")
        if one:
            missed += len(data) - data.index(one)
        else:
            frames.append((time, data, link))
    made = tmp_path / "lacks.pcapng"
    made.write_bytes(corpus.pcapng(frames))
    text = said(made)
    assert (f"{missed:,} bytes that were acknowledged are not in the capture" in text) == bool(missed)
    assert bool(lost) == bool(missed)
    rows = [line.split()[-1] for line in text.splitlines() if "--from" in line]
    if len(lost) < 2:
        left = [name for name in ("/one", "/two", "/three") if not lost or name.encode() not in lost[0]]
        assert rows == left


def test_bytes_that_were_seen_beyond_a_hole_are_not_lacking():
    """An acknowledgement of bytes 0 to 40, of which 10 to 20 and 30 to 40 were not captured."""
    direction = Direction()
    assert [direction.cover(*one) for one in ((0, 10), (20, 30), (25, 30), (10, 40))] == [10, 10, 5, 20]
    assert direction.contiguous == 40


def test_a_connection_is_chosen_as_in_a_recording(file):
    assert said(file, "--conn", "1") == said(file, "--conn", ":80")
    assert "no connection has '7.7.7.7'" in said(file, "--conn", "7.7.7.7", status=1)
    assert "--advice needs a scenario" in said(file, "--advice", status=1)


def test_control_one_request_has_no_list():
    timeline = captured(scenarios.get("http-get").timeline(), "a")
    found = path(timeline)
    assert len(turns(CapturedTalk(timeline, Lookup(timeline), found.conn))) <= 1


def test_the_waterfall_of_a_capture_can_be_drawn(file, tmp_path):
    picture = tmp_path / "x.svg"
    result = CliRunner().invoke(cli, ["plot", str(file), "--kind", "waterfall", "-o", str(picture)])
    assert result.exit_code == 0, result.output
    assert b"server thinking" in picture.read_bytes()


def test_the_shortest_span_has_a_bar_that_is_seen():
    figure = pytest.importorskip("matplotlib.figure").Figure()
    waterfall.draw(figure, scenarios.get("post").timeline(), "")
    bars = figure.axes[0].patches
    assert len(bars) == waterfall.BARS
    assert all(bar.get_linewidth() >= 1 and bar.get_edgecolor() == bar.get_facecolor() for bar in bars)


def test_a_pcap_says_the_same(file, tmp_path):
    """The format of the file does not matter."""
    import struct

    out = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, 1)
    for frame in PcapngReader(io.BytesIO(file.read_bytes()), "three"):
        out += struct.pack("<IIII", *divmod(frame.time, 10**9), len(frame.data), len(frame.data)) + frame.data
    other = tmp_path / "three.pcap"
    other.write_bytes(out)
    assert json.loads(said(other, "--json"))["spans"] == json.loads(said(file, "--json"))["spans"]
