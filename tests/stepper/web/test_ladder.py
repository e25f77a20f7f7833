"""The ladder to scale in Chromium: places in proportion to the time, words that do not overlap, and no more work for a long run."""

import subprocess
import sys

import pytest

from pystack.stepper import Cursor, scenarios
from pystack.stepper.plot.ladder import ladder
from tests.stepper.web.page import Page
from tests.stepper.web.served import ROOT, serving

#: pixels between two rows of one moment (web/src/panes/scale.ts)
LEAST = 3
#: frame -> the heights of the two ends of its arrow
ARROWS = """() => Object.fromEntries([...document.querySelectorAll('.arrow')].map((arrow) => {
    const line = arrow.querySelector('line:not(.hit)');
    return [arrow.dataset.frame, [Number(line.getAttribute('y1')), Number(line.getAttribute('y2'))]];
}))"""
WORDS = "() => [...document.querySelectorAll('.ladder-rows .words')].map((one) => Number(one.getAttribute('y')))"
PRESSED = "() => document.querySelector('#to-scale').getAttribute('aria-pressed') === 'true'"
ROWS = f"() => !({PRESSED})()"
#: a recording of more than 100,000 frames: the times of one that is there, again and again, with its frames
LONGER = """times => {
    const { store, source } = window.stepper;
    const { ladder, frameChunk, frames } = store.overview;
    const whole = structuredClone(ladder);
    const [rows, last] = [whole.times.length, whole.times.at(-1) + 1e6];
    for (let n = 1; n < times; n++) {
        ladder.times.push(...whole.times.map((time) => time + n * last));
        ladder.events.push(...whole.events.map((event) => event + n * store.overview.events));
        ladder.departs.push(...whole.departs.map((row) => row + n * rows));
        ladder.arrives.push(...whole.arrives.map((row) => (row < 0 ? row : row + n * rows)));
        for (const name of ['sender', 'receiver', 'fates', 'flows', 'gaps']) ladder[name].push(...whole[name]);
        ladder.marks.push(...whole.marks.map(([event, ...rest]) => [event + n * store.overview.events, ...rest]));
    }
    const original = source.frames.bind(source);
    window.asked = 0;
    source.frames = (n) => (window.asked++, original(n % Math.floor(frames / frameChunk)));
    return ladder.departs.length;
}"""


@pytest.fixture(scope="module")
def served():
    with serving() as server:
        yield server


def place_of(name, more=""):
    return f"scenario/{name}/#layout=expert&ladder=scale&{more}"


def test_heights_are_in_proportion_to_the_time(browser, served):
    """Each flight has the height of its time, and a wait that is too long is broken off and says how long it was."""
    timeline = scenarios.get("time-wait").timeline()
    with Page(browser, served.address + place_of("time-wait", "event=100")) as page:
        page.until(PRESSED)
        page.page.wait_for_selector(".ladder-rows .broken")
        arrows = {int(number): ends for number, ends in page.page.evaluate(ARROWS).items()}
        flights = {
            f.number: f.arrival - f.time for f in timeline.frames if f.arrival is not None and f.number in arrows
        }
        assert len(flights) == len(timeline.frames) - 1  # one was lost
        assert [text.split(" (")[0] for text in page.page.locator(".broken").all_text_contents()] == [
            "210 ms later",
            "59.99 s later",
        ]
        rows = ladder(timeline)

        def height(number, end):
            """The place of an end of an arrow, without what keeps the rows of one moment apart."""
            row = (rows.departs, rows.arrives)[end][number - 1]
            return arrows[number][end] - LEAST * (row - rows.times.index(rows.times[row]))

        pixel = flights[1] / (height(1, 1) - height(1, 0))
        for number, flight in flights.items():
            assert height(number, 1) - height(number, 0) == pytest.approx(flight / pixel, abs=1)
            if number < 7:  # the waits are after it
                assert height(number, 0) - height(1, 0) == pytest.approx(
                    rows.times[rows.departs[number - 1]] / pixel, abs=1
                )
        bar, text = page.page.eval_on_selector(
            ".scale-length", "one => [one.querySelector('svg').clientWidth - 2, one.textContent]"
        )
        assert text.strip() == "10 ms" and bar == pytest.approx(10e6 / pixel, abs=1)
        # the control: with one row for each event, the heights say nothing
        page.page.keyboard.press("m")
        page.until(ROWS)
        page.until("() => !document.querySelector('.broken')")
        arrows = page.page.evaluate(ARROWS)
        assert len({round(arrows[str(number)][1] - arrows[str(number)][0]) for number in (1, 4, 5)}) > 1
        assert page.complaints == []


def test_larger_and_smaller(browser, served):
    with Page(browser, served.address + place_of("handshake", "event=20")) as page:
        page.page.wait_for_selector(".arrow")
        height = f"(() => {{ const [a, b] = ({ARROWS})()['1']; return b - a; }})()"
        before = page.page.evaluate(height)
        page.page.focus("[data-zoom='1']")
        page.page.keyboard.press("Enter")
        page.until(f"before => Math.abs({height} - 2 * before) < 8", before)
        # the keyboard stays at the button
        assert page.page.evaluate("document.activeElement.dataset.zoom") == "1"
        page.page.click("[data-zoom='-1']")
        page.page.click("[data-zoom='-1']")
        page.until(f"before => Math.abs({height} - before / 2) < 8", before)
        assert page.complaints == []


@pytest.mark.parametrize("name", ["loss-fast-retransmit", "pmtud", "keep-alive"])
def test_words_do_not_overlap_and_those_of_the_cursor_are_there(browser, served, name):
    cursor = Cursor(scenarios.get(name).timeline())
    with Page(browser, served.address + place_of(name)) as page:
        counted = 0
        for step in range(70):
            # by frames, and between them by events, some of which are timers and calls with words of their own
            key = "f" if step % 2 else "n"
            cursor.step("frame" if key == "f" else "event")
            page.page.keyboard.press(key)
            page.settled(cursor.position)
            frame = cursor.entry.frame
            number = frame + 1
            if frame >= 0:
                page.until(
                    "number => document.querySelector('.label.current')?.textContent.startsWith(`${number} `)", number
                )
            places = sorted(page.page.evaluate(WORDS))
            assert all(later - earlier >= 12 for earlier, later in zip(places, places[1:])), (number, places)
            counted += page.page.locator(".others").count()
        assert counted > 10  # the control: words were left out, and counted
        cut = "() => [...document.querySelectorAll('.row-time')].every((one) => one.getBBox().x >= 0)"
        assert page.page.evaluate(cut)  # also from 100 s on
        assert page.complaints == []


def test_the_choice_is_kept(browser, served):
    """In the address, in both layouts, and for the next page; a link to one of them wins."""
    with Page(browser, f"{served.address}scenario/nagle/#event=30") as page:
        page.until(ROWS)
        page.page.keyboard.press("m")
        page.until(PRESSED)
        assert "ladder=scale" in page.page.url
        page.page.click("#layout-expert")
        page.page.wait_for_selector("html[data-ready=expert]")
        page.until(PRESSED)
        page.page.reload()
        page.page.wait_for_selector(".facts")
        page.until(PRESSED)
        page.page.goto(f"{served.address}scenario/ping/")
        page.page.wait_for_selector(".facts")
        page.until(PRESSED)
        page.page.evaluate("() => { location.hash = 'event=3&ladder=rows'; }")
        page.until(ROWS)
        page.page.click("#to-scale")
        page.until(PRESSED)
        assert page.complaints == []


def test_the_key_shows_the_ladder(browser, served):
    with Page(browser, f"{served.address}scenario/nagle/#layout=expert&event=30&panes=events") as page:
        page.page.wait_for_selector(".event-row")
        page.page.keyboard.press("m")
        page.page.wait_for_selector(".ladder-rows .label.current")
        page.until(PRESSED)


@pytest.mark.parametrize("zoom", [0, 3])
def test_a_long_recording_costs_no_more_to_draw(browser, tmp_path, zoom):
    path = tmp_path / "page.html"
    command = [sys.executable, "-m", "pystack.cli", "step", "loss-fast-retransmit", "--export", str(path)]
    subprocess.run(command, check=True, cwd=ROOT, capture_output=True, timeout=60)
    with Page(browser, path.as_uri() + "#event=300&panes=ladder,sequence,frame,tcb,breaks") as page:
        page.page.wait_for_selector(".arrow")
        assert page.page.evaluate(LONGER, 1400) > 100_000
        page.page.keyboard.press("m")
        page.until(PRESSED)
        for _ in range(zoom):
            page.page.click("[data-zoom='1']")
        height = page.page.evaluate("document.querySelector('.ladder .virtual-space').offsetHeight")
        assert 1_000_000 < height < 16_000_000
        for part in (0.5, 0.999, 0):
            page.page.evaluate(
                "part => { const one = document.querySelector('.virtual.ladder'); one.scrollTop = part * one.scrollHeight; }",
                part,
            )
            page.until(
                """() => { const [list, rows] = ['.virtual.ladder', '.ladder-rows'].map((one) => document.querySelector(one).getBoundingClientRect());
                    return rows.top <= list.top && rows.bottom >= list.bottom && document.querySelector('.arrow'); }"""
            )
            assert page.page.locator(".ladder-rows *").count() < 3000
        assert page.page.evaluate("window.asked") < 100
        assert page.complaints == []


SIZES = [(1280, 720), (1280, 800), (1440, 900), (1920, 1080), (375, 812)]


@pytest.mark.parametrize("name", ["loss-fast-retransmit", "post"])
def test_the_experts_layout_cuts_no_legend_and_no_connection(browser, served, name):
    width = """select => { const before = select.offsetWidth; const copy = select.cloneNode(true);
        copy.style = 'position: absolute; visibility: hidden; max-width: none; width: max-content'; select.parentNode.append(copy);
        const whole = copy.offsetWidth; copy.remove(); return [before, whole]; }"""
    inside = """legend => { const pane = legend.closest('.place').getBoundingClientRect();
        return [...legend.children].every((one) => { const box = one.getBoundingClientRect();
            return box.width > 0 && box.left >= pane.left && box.right <= pane.right && one.scrollHeight <= legend.scrollHeight; })
            && legend.scrollWidth <= legend.clientWidth && legend.parentNode.scrollWidth <= legend.parentNode.clientWidth; }"""
    for panes in ("ladder,sequence,frame,tcb,breaks", "ladder,windows,frame,tcb,timers"):
        with Page(browser, f"{served.address}scenario/{name}/#layout=expert&event=300&panes={panes}") as page:
            page.page.wait_for_selector(".chart[data-end] canvas")
            for size in SIZES:
                page.page.set_viewport_size({"width": size[0], "height": size[1]})
                assert page.page.eval_on_selector(".place-upper .legend", inside), (size, panes)
                if size[0] > 400:
                    for one in (".place-upper .bar select", ".place-right .bar select"):
                        shown, whole = page.page.eval_on_selector(one, width)
                        assert shown >= whole, (size, one)
                    assert page.page.evaluate("document.querySelector('.where').offsetHeight") < 24
