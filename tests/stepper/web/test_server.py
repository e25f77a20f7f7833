"""The web stepper's server: the timeline's numbers, and nothing for anyone else."""

import http.client
import json
import socket

import pytest

from pystack.stepper import Cursor, scenarios
from tests.stepper.web.served import serving

SCENARIO = "loss-fast-retransmit"


@pytest.fixture(scope="module")
def timeline():
    return scenarios.get(SCENARIO).timeline()


@pytest.fixture(scope="module")
def served():
    with serving(SCENARIO, "--at", "frame=8", "--break", "state == TIME_WAIT") as server:
        yield server


def plain(value):
    """As JSON has it."""
    return json.loads(json.dumps(value))


# -- its numbers -----------------------------------------------------------------------------------------------------


def test_the_overview(served, timeline):
    found = served.json("api/0/overview")
    assert (found["events"], found["frames"]) == (len(timeline.events), len(timeline.frames))
    assert found["question"] == "Why was this segment retransmitted?"
    assert found["begin"] == timeline.frames[7].event
    assert [one["text"] for one in found["breakpoints"]] == ["state == TIME_WAIT"]
    assert ["SYN-SENT", "ESTABLISHED"] in [edge[:2] for edge in found["transitions"]]


def test_the_state_at_every_event_is_the_timelines(served, timeline):
    """The page adds up changes from a chunk's base, as this does."""
    size = served.json("api/0/overview")["eventChunk"]
    for number in range(-(-len(timeline.events) // size)):
        chunk = served.json(f"api/0/events/{number}")
        state = chunk["base"]
        for entry, changes in zip(chunk["events"], chunk["changes"], strict=True):
            for key, fields in (changes or {}).items():
                if fields is None:
                    state.pop(key)
                else:
                    state[key] = {**state.get(key, {}), **fields}
            index = entry["index"]
            assert state == plain({**timeline.state(index), **timeline.arp(index)}), index
            assert entry["reason"] == timeline.events[index].reason
            link = chunk["links"].get(entry["rfc"], "")
            assert link == timeline.link(entry["rfc"])


def test_frames_have_their_bytes_and_fields(served, timeline):
    frame = served.json("api/0/frames/0")[7]
    assert frame["hex"] == timeline.frames[7].data.hex() and frame["fate"] == "lost"
    names = []

    def walk(node):
        names.append(node["abbrev"])
        for child in node["children"]:
            walk(child)

    for layer in frame["tree"]:
        walk(layer)
    assert {"eth.dst", "ip.ttl", "tcp.seq"} <= set(names)


def test_steps_and_runs_are_the_cursors(served, timeline):
    for unit in ("event", "frame", "layer", "rtt"):
        for start in (-1, 5, 200, len(timeline.events) - 1):
            for count in (1, -1, 3):
                cursor = Cursor(timeline)
                cursor.position = start
                cursor.step(unit, count)
                asked = {"from": start, "unit": unit, "count": count}
                assert served.json("api/0/step", asked)["position"] == cursor.position
    cursor = Cursor(timeline)
    cursor.add_break('event.kind == "retransmit"')
    cursor.run()
    asked = {"from": -1, "direction": 1, "breakpoints": [{"text": 'event.kind == "retransmit"'}]}
    assert served.json("api/0/run", asked) == {"position": cursor.position, "hit": 0, "text": ""}
    watch = {
        "from": cursor.position,
        "direction": -1,
        "breakpoints": [{"text": "False"}, {"text": "a.cwnd", "watch": True}],
    }
    found = served.json("api/0/run", watch)
    assert found["hit"] == 1 and " -> " in found["text"] and found["position"] < cursor.position


def test_filters(served, timeline):
    retransmitted = [e.index for e in timeline.events if e.kind == "tcp.retransmit"]
    everything = {"from": 0, "most": 10_000}
    assert served.json("api/0/filter", {"text": 'event.kind == "retransmit"', **everything})["matches"] == retransmitted
    sacked = served.json("api/0/filter", {"text": "SACKed rfc 2018", **everything})
    assert sacked["matches"] and all("SACK" in timeline.events[i].text() for i in sacked["matches"])
    few = served.json("api/0/filter", {"text": "host == 'a'", "from": 0, "most": 3})
    assert len(few["matches"]) == 3 and few["next"] == few["matches"][-1] + 1


def test_why_in_words(served, timeline):
    (index,) = [e.index for e in timeline.events if e.kind == "tcp.retransmit"]
    text = served.json(f"api/0/why/{index}")["text"]
    assert "RFC" in text and "lost" in text


def test_what_if(served, timeline):
    names = [change["name"] for change in served.json("api/0/overview")["changes"]]
    assert {"drop", "deliver", "nodelay", "congestion"} <= set(names)
    found = served.json("api/0/branch", {"at": 100, "change": "deliver", "argument": "8"})
    was, is_now = found["figures"]["retransmissions"]
    assert (was, is_now) == ("1", "0") and found["first"] >= 0
    row = found["rows"][found["first"]]
    assert not row["same"] and "lost" in row["left"] and "lost" not in row["right"]
    other = served.json(f"api/{found['id']}/overview")
    assert other["parent"] == "0" and "tcp.retransmit" not in other["kinds"]
    assert "no frame 9999" in served.error("api/0/branch", {"at": 1, "change": "drop", "argument": "9999"})
    assert "is not a change" in served.error("api/0/branch", {"at": 1, "change": "explode", "argument": "a"})
    assert "already a branch" in served.error(f"api/{found['id']}/branch", {"at": 1, "change": "drop", "argument": "1"})


# -- and nothing else ------------------------------------------------------------------------------------------------


def test_only_this_machine_reaches_it(served):
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", served.port), timeout=5)
    socket.create_connection(("127.0.0.1", served.port), timeout=5).close()  # the control


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example:80", ""])
def test_another_host_name_is_refused(served, host):
    assert served.ask("GET", "api/0/overview", Host=host)[0] == 421
    assert served.ask("GET", "api/0/overview", Host=f"localhost:{served.port}")[0] == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
)
def test_other_pages_are_refused(served, headers):
    assert served.ask("GET", "api/0/overview", **headers)[0] == 403
    assert served.ask("POST", "api/0/filter", {"text": "x", "from": 0, "most": 1}, **headers)[0] == 403
    own = {"Origin": f"http://127.0.0.1:{served.port}", "Sec_Fetch_Site": "same-origin"}
    assert served.ask("GET", "api/0/overview", **own)[0] == 200


@pytest.mark.parametrize("path", ["/", "/stepper.js", "/api/0/overview", "/wrong/api/0/overview", "//"])
def test_without_the_secret_there_is_nothing(served, path):
    status, body, _ = served.ask("GET", path)
    assert status == 404 and b"printed" in body


@pytest.mark.parametrize(
    "path",
    ["../server.py", "%2e%2e/server.py", "..%2fserver.py", ".built", "static/stepper.js", "stepper.js/..", "api/0/x"],
)
def test_no_other_file_is_served(served, path):
    assert served.ask("GET", path)[0] == 404
    assert served.ask("GET", "stepper.js")[0] == 200


def test_the_page_may_load_nothing_else(served):
    for path in ("", "stepper.js", "api/0/overview", "nothing"):
        headers = served.ask("GET", path)[2]
        assert (
            "default-src 'none'" in headers["content-security-policy"]
            and "connect-src 'self'" in headers["content-security-policy"]
        )
        assert headers["x-content-type-options"] == "nosniff" and headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')", "event.__class__", "().__class__", "open('x')", "9**9**9", "(" * 400, "x" * 2000,
        "[x for x in (1,2)]", "lambda: 1", "tcb.nothing", "1 +", "", "'\\ud800' ==", "event.kind.upper()",
    ],
)  # fmt: skip
def test_what_is_no_expression_is_refused_in_words(served, text):
    assert served.error("api/0/evaluate", {"text": text, "at": 5})
    assert served.error("api/0/run", {"from": -1, "direction": 1, "breakpoints": [{"text": text}]})


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("events/-1", None), ("events/99999", None), ("frames/4000", None), ("why/99999", None), ("plots?connection=x", None),
        ("plots", None), ("plots?connection=x&y=1", None), ("../1/overview", None),
        ("step", {"from": 99999, "unit": "event", "count": 1}), ("step", {"from": 0, "unit": "year", "count": 1}),
        ("step", {"from": 0, "unit": "event", "count": 10**9}), ("step", {"from": "0", "unit": "event", "count": 1}),
        ("step", {}), ("step", []), ("run", {"from": 0, "direction": 2, "breakpoints": []}),
        ("run", {"from": 0, "direction": 1, "breakpoints": [{}]}), ("run", {"from": 0, "direction": 1, "breakpoints": [1]}),
        ("filter", {"text": "x", "from": -5, "most": 1}), ("filter", {"text": "x = 1", "from": 0, "most": 1}),
        ("changed", {"at": 5, "key": "x", "field": "cwnd"}), ("changed", {"at": 10**9, "key": "x", "field": "cwnd"}), ("changed", {"at": 5}),
        ("search", {"text": "", "from": 0}), ("search", {"text": "x" * 300, "from": 0}), ("search", {"text": "x", "from": "0"}),
        ("search", {"text": "x", "from": -1}), ("attempt", {"number": 99}), ("attempt", {"number": "x"}), ("attempt", {}),
        ("streams/99", None), ("../start/api", None), ("../../scenario/x/api/0/overview", None), ("../../file/x/api/0/overview", None),
        ("evaluate", {"text": "1", "at": None}), ("step", b"{"), ("step", b"[" * 50000),
        ("filter", {"text": "x" * 200_000, "from": 0, "most": 1}),
    ],
)  # fmt: skip
def test_nonsense_is_refused(served, path, body):
    status, data, _ = served.ask("GET" if body is None else "POST", f"api/0/{path}", body)
    assert status in (400, 404) and b"Traceback" not in data


def test_a_post_must_be_json(served):
    body = json.dumps({"from": 0, "unit": "event", "count": 1}).encode()
    assert served.ask("POST", "api/0/step", body, Content_Type="text/plain")[0] == 400
    assert served.ask("POST", "api/0/step", body)[0] == 200
    assert served.ask("DELETE", "api/0/step", body)[0] == 405


def test_two_ask_at_once(served):
    connections = [http.client.HTTPConnection("127.0.0.1", served.port, timeout=30) for _ in range(8)]
    for number, connection in enumerate(connections):
        connection.request("GET", f"/{served.secret}/api/0/events/{number % 3}")
    answers = [json.loads(connection.getresponse().read()) for connection in connections]
    assert [answer["first"] for answer in answers] == [128 * (number % 3) for number in range(8)]
    for connection in connections:
        connection.close()
