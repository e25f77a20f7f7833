"""The web stepper in a real browser (Debian's Chromium): the story that it is for, and the exported page beside it."""

import json
import random
import subprocess
import sys

import pytest

from pystack.stepper import Cursor, scenarios
from pystack.stepper.export import export
from pystack.stepper.expr import Expression, ExpressionError
from pystack.stepper.web.data import is_words
from pystack.stepper.web.session import _quiet
from tests.stepper.web.page import Page
from tests.stepper.web.served import ROOT, need_page, serving

SCENARIO = "loss-fast-retransmit"
#: the end of the recovery
REPAIRED = 'tcb.ca_state == "open" and tcb.total_retrans > 0'


@pytest.fixture(scope="module")
def timeline():
    return scenarios.get(SCENARIO).timeline()


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    need_page()
    path = tmp_path_factory.mktemp("page") / "page.html"
    command = [sys.executable, "-m", "pystack.cli", "step", SCENARIO, "--export", str(path)]
    subprocess.run(command, check=True, cwd=ROOT, capture_output=True, timeout=60)
    return path


def as_shown(value):
    """A value as JavaScript writes it."""
    return json.dumps(value) if isinstance(value, bool) else str(value)


def expected(timeline, index):
    """The blocks as the timeline has them."""
    return {
        (key, name): as_shown(value) for key, fields in timeline.state(index).items() for name, value in fields.items()
    }


def assert_blocks(page, timeline, index):
    cells = page.blocks()
    wanted = expected(timeline, index)
    assert len(cells) > 40 and {key: wanted.get(key) for key in cells} == cells


def retransmission(timeline):
    (index,) = [entry.index for entry in timeline.events if entry.kind == "tcp.retransmit"]
    return index


def tell_the_story(page, timeline):
    """Step to the retransmission, read why, step back and on, run to a breakpoint; what was read on the way."""
    at = retransmission(timeline)
    cursor = Cursor(timeline)
    seen = []
    # by frames until close to it, then by events
    while cursor.step("frame") is not None and cursor.position < at:
        page.page.keyboard.press("ArrowDown")
        page.settled(cursor.position)
    while page.position < at:
        before = page.position
        page.page.keyboard.press("ArrowRight")
        page.settled(before + 1)
    assert page.text("#kind") == "tcp.retransmit"
    reason = page.text("#reason")
    assert reason == timeline.events[at].reason and "retransmission" in reason
    assert page.page.get_attribute(".reason a.rfc", "href") == timeline.link(timeline.events[at].rfc)
    page.until("() => document.querySelector('#why').textContent !== ''")
    seen += [reason, page.text("#why")]
    assert_blocks(page, timeline, at)
    # back over the reduction of cwnd, and on again: the block as it was before, and as it was after
    conn = timeline.events[at].conn
    cut = next(i for i in range(at, at - 20, -1) if "cwnd" in timeline.diff(i).get(conn, {}))
    for target in range(at - 1, cut - 2, -1):
        page.page.click("#back")
        page.settled(target)
    assert_blocks(page, timeline, cut - 1)
    before = page.blocks()
    page.page.click("#next")
    page.settled(cut)
    assert_blocks(page, timeline, cut)
    after = page.blocks()
    assert after[conn, "cwnd"] != before[conn, "cwnd"]
    assert "cwnd" in page.text("#diff") and page.page.locator(".tcb td.changed").count() > 0
    seen.append([before, after, page.text("#diff")])
    # a breakpoint
    page.page.keyboard.press("b")
    page.page.keyboard.type(REPAIRED)
    page.page.keyboard.press("Enter")
    page.page.wait_for_selector(".break code")
    page.page.click("#run")
    cursor.position = cut
    cursor.add_break(REPAIRED)
    assert cursor.run() is not None and cursor.position > cut
    page.settled(cursor.position)
    assert f"stopped by {REPAIRED}" in page.text(".facts .note")
    assert_blocks(page, timeline, cursor.position)
    seen.append(page.blocks())
    # and the events that a filter finds
    page.page.keyboard.press("Escape")
    page.page.keyboard.press("/")
    page.page.keyboard.type('event.kind in ("retransmit", "lost", "state") and host == a')
    page.page.keyboard.press("Enter")
    page.until("() => / of /.test(document.querySelector('#filter-count').textContent)")
    seen.append(page.text("#filter-count"))
    return seen


def test_the_story_served_and_exported(browser, timeline, tmp_path):
    """What is read in the served page is what the page exported from it shows, opened from disk; nobody else is asked."""
    with serving(SCENARIO) as server:
        with Page(browser, server.address, accept_downloads=True) as page:
            served = tell_the_story(page, timeline)
            with page.page.expect_download() as download:
                page.page.click("#export")
            path = tmp_path / "page.html"
            download.value.save_as(path)
            assert len(page.requests) > 10
            assert [url for url in page.requests if not url.startswith((server.address, "data:"))] == []
            assert page.complaints == []
    with Page(browser, path.as_uri(), offline=True) as page:
        exported = tell_the_story(page, timeline)
        assert [url for url in page.requests if url != path.as_uri() and not url.startswith("data:")] == []
        assert page.complaints == []
    assert exported == served


def test_the_states_are_lit_along_the_codes_edges(browser, timeline, exported):
    """Each change of state lights the edge of that change, and the states that the hosts are in."""
    with Page(browser, exported.as_uri() + "#event=0&panes=states") as page:
        for entry in timeline.events:
            if entry.kind != "tcp.state":
                continue
            page.page.evaluate("at => window.stepper.store.goto(at)", entry.index)
            edge = ">".join((entry.fields["old"], entry.fields["new"]))
            page.until("edge => document.querySelector('.edge.now')?.dataset.edge === edge", edge)
            if entry.conn in timeline.state(entry.index):
                assert page.page.get_attribute(".state.here", "data-state") == entry.fields["new"]
        assert page.page.locator(".edge").count() == len(
            page.page.evaluate("window.stepper.store.overview.transitions")
        )
        assert page.complaints == []


def test_a_learners_question_is_one_click_from_its_answer(browser, timeline, exported):
    """And one key; in words, unfolded, without scrolling."""
    with Page(browser, exported.as_uri()) as page:
        assert "Why was this segment retransmitted?" in page.text(".reason")
        page.page.click("#answer")
        page.settled(retransmission(timeline))
        page.until("() => document.querySelector('#why').textContent !== ''")
        why = page.page.locator("#why")
        assert "Fast retransmit: bytes 5793:7241" in why.inner_text() and "RFC 8985 6.2" in why.inner_text()
        shown = "node => node.scrollHeight <= node.clientHeight + 1"
        assert why.evaluate(shown)
        page.page.click("#why")
        assert not why.evaluate(shown)  # the control: folded, it has more lines than are in sight
        page.page.keyboard.press("Home")
        page.settled(-1)
        page.page.keyboard.press("a")
        page.settled(retransmission(timeline))
        assert page.complaints == []


def test_a_field_and_its_bytes_are_marked(browser, timeline, exported):
    with Page(browser, exported.as_uri() + f"#event={timeline.frames[7].event}") as page:
        page.page.click('.node[data-abbrev="tcp.seq"]')
        marked = page.page.eval_on_selector_all(".byte.marked", "cells => cells.map(cell => cell.textContent)")
        assert bytes.fromhex("".join(marked)) == timeline.frames[7].data[38:42]
        page.page.click(".byte >> nth=22")  # the TTL's byte
        assert "Time to live" in page.text(".node.chosen")


def test_only_what_is_in_sight_is_drawn(browser, timeline, exported):
    with Page(browser, exported.as_uri() + "#event=99&panes=events") as page:
        page.page.wait_for_selector(".event-row.current")
        assert len(timeline.events) > 500
        assert 10 < page.page.locator(".event-row").count() < 80
        page.page.keyboard.press("1")
        page.page.wait_for_selector(".arrow")
        assert 10 < page.page.locator(".arrow").count() < len(timeline.frames)


def test_light_and_dark(browser, exported):
    colours = []
    for scheme in ("light", "dark"):
        with Page(browser, exported.as_uri(), color_scheme=scheme) as page:
            script = "getComputedStyle(document.body).backgroundColor"
            colours.append(page.page.evaluate(script))
            page.page.keyboard.press("d")
            colours.append(page.page.evaluate(script))
    assert colours[0] == colours[3] != colours[1] == colours[2]


def test_the_keys_and_the_numbers_are_those_of_the_terminal(browser, timeline, exported):
    """Every key of the terminal's steps does the same here, and both count events alike."""
    letters = {"n": "event", "f": "frame", "l": "layer", "t": "rtt"}
    cursor = Cursor(timeline)
    with Page(browser, exported.as_uri() + "#event=40") as page:
        cursor.goto(event=40)
        page.settled(40)
        assert page.text(".facts").count(f"event 40/{len(timeline.events) - 1}") == 1
        for key, unit in letters.items():
            for pressed, count in ((key, 1), ({"n": "p"}.get(key, key.upper()), -1)):
                page.page.keyboard.press(pressed)
                cursor.step(unit, count)
                page.settled(cursor.position)
        page.page.keyboard.press("w")
        page.page.keyboard.type("tcb.cwnd")
        page.page.keyboard.press("Enter")
        page.page.wait_for_selector(".break code")
        assert page.text(".break .sort") == "watch"
        page.page.keyboard.press("Escape")
        page.page.keyboard.press("r")
        cursor.watch("tcb.cwnd")
        assert cursor.run() is not None
        page.settled(cursor.position)
        page.page.wait_for_selector(".facts .note")  # the new place is on the page
        value = "document.querySelector('.tcb').closest('.pane-body').querySelector('select').value"
        before = page.page.evaluate(value)
        page.page.keyboard.press("c")
        page.until(f"before => {value} !== before", before)
        assert page.complaints == []


def test_a_timer_has_its_own_row_and_a_dropped_frame_no_cross(browser, tmp_path):
    timeline = scenarios.get("time-wait").timeline()
    path = tmp_path / "time-wait.html"
    export(timeline, str(path))
    with Page(browser, path.as_uri() + f"#event={len(timeline.events) - 1}") as page:
        page.page.wait_for_selector(".arrow")
        page.until("() => /60[.]27/.test(document.querySelector('.ladder-rows').textContent)")
        assert "listener CLOSED" in page.page.text_content(".ladder-rows")
        assert page.page.locator(".arrow.fate-dropped .cross").count() == 0
        assert page.page.locator(".arrow.fate-dropped .refused").count() == 1
        assert page.page.locator(".arrow.fate-lost .cross").count() == 1
        assert (
            page.page.locator(".gap").count() == 2
            and "59.990000 s later" in page.page.locator(".gap").all_text_contents()
        )
        assert page.complaints == []


@pytest.mark.parametrize("name", ["ping", "dns-recursion"])
def test_a_run_without_tcp_has_no_panes_for_tcp(browser, tmp_path, name):
    """No empty plot, no state diagram and no block; the other panes have their room. (In DNS's, TCP only listens.)"""
    path = tmp_path / "page.html"
    # in a process of its own, because a scenario cannot run inside the loop of Playwright
    command = [sys.executable, "-m", "pystack.cli", "step", name, "--export", str(path)]
    subprocess.run(command, check=True, cwd=ROOT, capture_output=True, timeout=60)
    with Page(browser, path.as_uri() + "#event=3") as page:
        tabs = page.page.eval_on_selector_all(".tab", "tabs => tabs.map(tab => tab.dataset.pane)")
        assert not {"sequence", "windows", "states", "tcb"} & set(tabs) and {"ladder", "frame", "timers"} <= set(tabs)
        boxes = [place.bounding_box() for place in page.page.locator(".place").all()]
        assert sum(box["width"] * box["height"] for box in boxes) > 0.8 * 1366 * 600
        assert page.complaints == []


def test_a_run_with_tcp_has_them(browser, exported):
    with Page(browser, exported.as_uri()) as page:
        tabs = page.page.eval_on_selector_all(".tab", "tabs => tabs.map(tab => tab.dataset.pane)")
        assert {"sequence", "windows", "states", "tcb"} <= set(tabs)


# -- expressions: the page's own evaluator says what expr.py says -----------------------------------------------------

WRITTEN = """
event.kind == "retransmit" | event.kind == "tcp.retransmit" | "retransmit" == kind | kind in ("lost", "retransmit") | kind != "state"
tcb.cwnd < 2*tcb.mss | tcb.cwnd | tcb.ssthresh >= 1000 | state == TIME_WAIT | state | conn | tcb | host == a | host == "b" | a | b
event.fields.length > 1000 | event.fields["length"] | event.fields.nothing | event.fields["no" ] == 1 or host == "a" | event.rfc
frame.number == 12 | frame.number | frame.fate == "lost" | frame.length // 7 | frame.arrival is None | frame.reasons | len(frame.reasons)
tcb.timers.retransmission | tcb.timers["loss-probe"] | tcb.timers.loss_probe > 0 | len(tcb.timers) | tcb.timers == tcb.timers
b.rcv_wnd == 0 | b.rcv_nxt | a.snd_una - a.iss | time | time > 0.1 | time * 1000 // 1 | 5*ms | 2*s + 3*us
1 + 2 * 3 - 4 | 7 // 2 | -7 // 2 | 7 % 3 | -7 % 3 | 7 / 2 | 1 / 0 | 1 % 0 | 6 & 3 | 1 < 2 < 3 | 1 < 3 < 2 | 3 > 2 == True
not 1 | not not 0 | not tcb.cwnd | None | True + True | "a" in "cat" | 1 in (1, 2) | 3 not in [1, 2] | () | (1,) | 1, 2 | [1, [2]] == [1, [2]]
min(3, 1, 2) | max([1, 5, 2]) | min() | max([]) | abs(-3) | abs("x") | any([0, 1]) | all((1, 0)) | int("12") | int("x") | int(-3.9) | len("abc")
"abc"[1] | "abc"[-1] | "abc"[7] | [1, 2][0] | "a" < "b" | "a" < 1 | None < 1 | None < 1 or 5 | 1 and "x" | 0 or "" or 3 | 1 if state == ESTABLISHED else 2
True is True | None is None | host is not None | 0x10 + 0b11 + 1_000 | .5 + 1. | 1e3 | 'it''s' | "\\n" | 1e30 * 10 | 10**2 | 2 ^ 1 | ~1 | +1 | 1 << 2
cwnd | nothing | time_wait | tcb.nothing | event.nothing | frame.nothing | a.nothing | event.__class__ | tcb._x | print(1) | len | len(1, 2)
event.kind.upper() | (1).real | lambda: 1 | [x for x in (1,)] | {1: 2} | {1} | x := 1 | 1 = 1 | 1 + | ) | ( | ((((1)))) | "open | tcb. | .5.5 | 01
a.b.c | event | frame | event.fields | [event.index, event.host] | event.index % 7 == 3 and frame.fate != "lost" | f"x" | b"x" | ... | *a | 1 if 2
""".strip()


LONG = ("x" * 1001, "-" * 300 + "1", "not " * 300 + "1", "(" * 150 + "1" + ")" * 150)
BARS = ("6 | 3", "1 | 2 & 3", "3.5 & 1", "-5 & 3", "4294967295 & 255", "tcb.snd_una & 65535")


def texts():
    written = (text.strip() for line in WRITTEN.splitlines() for text in line.split(" | "))
    return [*written, *BARS, *LONG]


INTEGERS = "1 0 -3 100000 tcb.cwnd tcb.snd_una tcb.srtt frame.number event.index state True None".split()


def made_up(count):
    """Random ones, of what the grammar has."""
    random_ = random.Random(7)

    def one(depth):
        if depth == 0 or random_.random() < 0.2:
            return random_.choice(
                "1 0 2.5 -3 100000 tcb.cwnd tcb.snd_una tcb.srtt state time frame.number frame.length event.index host kind "
                "ESTABLISHED None True a.cwnd b.rcv_nxt event.fields.length 'a' 'tcp' conn ms".split()
            )
        shape = random_.choice(["b"] * 4 + ["&"] + ["c"] * 3 + ["l"] * 3 + ["n", "i", "f", "t", "m"])
        x, y, z = (one(depth - 1) for _ in range(3))
        if shape == "b":
            return f"({x} {random_.choice('+ - * / // %'.split())} {y})"
        if shape == "&":
            # of integers alone: the page knows one kind of number, and takes 6.0 | 3 where Python does not
            return f"({random_.choice(INTEGERS)} {random_.choice('&|')} {random_.choice(INTEGERS)})"
        if shape == "c":
            return f"({x} {random_.choice(['==', '!=', '<', '<=', '>', '>=', 'in', 'not in'])} {y})"
        if shape == "l":
            return f"({x} {random_.choice(['and', 'or'])} {y})"
        return {
            "n": f"(not {x})",
            "i": f"({x} if {y} else {z})",
            "f": f"max({x}, {y})",
            "t": f"[{x}, {y}]",
            "m": f"-({x})",
        }[shape]

    return [one(random_.randint(1, 4)) for _ in range(count)]


def in_python(timeline, text, at):
    """What the server would answer."""
    from pystack.stepper.scope import Scope

    try:
        value = _quiet(Expression(text, timeline.hosts), Scope(timeline, at))
    except ExpressionError:
        return "no expression"
    return json.loads(json.dumps(value)) if isinstance(value, (int, float, str, list, dict)) else None


def test_the_pages_evaluator_agrees_with_python(browser, timeline, exported):
    cases = [(text, at) for text in texts() for at in (-1, 0, 60, retransmission(timeline), len(timeline.events) - 1)]
    cases += [
        (text, at)
        for n, text in enumerate(made_up(600))
        for at in (17 * n % len(timeline.events), retransmission(timeline))
    ]
    with Page(browser, exported.as_uri()) as page:
        found = page.page.evaluate(
            """cases => Promise.all(cases.map(([text, at]) =>
                window.stepper.source.evaluate(text, at).then(
                    value => value === undefined ? null : value, error => "no expression")))""",
            cases,
        )
    differ = []
    for (text, at), there in zip(cases, found, strict=True):
        here = in_python(timeline, text, at)
        # the page's numbers are doubles
        close = (
            isinstance(here, (int, float))
            and isinstance(there, (int, float))
            and abs(here - there) <= 1e-12 * abs(here)
        )
        if not close and (here != there or (here is None) != (there is None)):
            differ.append((text, at, here, there))
    assert differ == [], differ[:40]
    kinds = [in_python(timeline, text, at) for text, at in cases]
    assert kinds.count("no expression") > 100 and kinds.count(True) > 100 and kinds.count(None) > 100  # the control


def test_words_and_expressions_are_told_apart_alike(browser, exported, timeline):
    cases = [
        "retransmit",
        "syn ack",
        "tcb.cwnd",
        "a and b",
        "x==1",
        "RFC 6298",
        "it's",
        "(x",
        "a-b",
        "land",
        "not this",
        "in",
    ]
    with Page(browser, exported.as_uri()) as page:
        for text in cases:
            script = "text => window.stepper.source.filter(text, 0, 10).then(found => found.matches, error => null)"
            found = page.page.evaluate(script, text)
            if is_words(text):
                line = "{0.host} {0.kind} {0.subject}"
                assert found is not None, text
                assert found or not any(text in line.format(entry) for entry in timeline.events), text
            elif text in ("it's", "(x", "in", "a and b", "x==1"):
                assert (found is None) == (text != "a and b"), text


def test_a_page_of_some_frames_shows_the_numbers_of_the_recording(browser, timeline, tmp_path):
    path = tmp_path / "page.html"
    export(timeline, str(path), frames="8-40")
    with Page(browser, path.as_uri() + "#frame=12") as page:
        assert "frame 12" in page.text(".facts") and f"event {timeline.frames[11].event}/" in page.text(".facts")
        first = timeline.frames[6].event + 1
        assert_blocks(page, timeline, page.position + first)
        page.page.wait_for_selector('.arrow[data-frame="12"].current')
        page.page.wait_for_selector(".chart[data-end] canvas")
        page.page.keyboard.press("Home")
        page.page.keyboard.press("f")
        page.settled(timeline.frames[7].event - first)
        page.page.keyboard.press("End")
        page.until("() => window.stepper.store.position === window.stepper.store.overview.events - 1")
        assert page.complaints == []
