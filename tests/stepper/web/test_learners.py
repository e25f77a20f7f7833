"""What learners see: the start page, the beginner's layout, what to try, a projector, a phone, a keyboard, axe."""

import os
import subprocess
import sys

import pytest

from pystack.stepper import Cursor, scenarios, search
from pystack.stepper.changed import last_change
from tests.stepper.web.page import Page
from tests.stepper.web.served import ROOT, serving
from tests.support.patience import until

PHONE = {"width": 375, "height": 720}
AXE = ROOT / "web" / "node_modules" / "axe-core" / "axe.min.js"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A directory with a recording, one in a folder below, a text file, and links that lead outside."""
    base = tmp_path_factory.mktemp("start")
    here, outside = base / "here", base / "outside"
    (here / "runs").mkdir(parents=True)
    outside.mkdir()
    (here / "rto.pytrace").write_bytes(scenarios.get("rto").record())
    (here / "runs" / "ping#1.bin").write_bytes(scenarios.get("ping").record())
    (here / "notes.txt").write_text("no recording")
    (outside / "secret.pytrace").write_bytes(scenarios.get("nagle").record())
    os.symlink(outside / "secret.pytrace", here / "link.pytrace")
    os.symlink(outside, here / "elsewhere")
    return here


@pytest.fixture(scope="module")
def served(folder):
    with serving(cwd=folder) as server:
        yield server


def place_of(page):
    """The title of the page's tab and its path below the secret."""
    return page.page.evaluate("location.pathname").split("/", 2)[2]


# -- the start page ----------------------------------------------------------------------------------------------------


def test_the_start_page_lists_the_course_and_opens_by_click(browser, served):
    with Page(browser, served.address, ready=".start-scenarios") as page:
        listed = page.page.eval_on_selector_all("[data-scenario]", "links => links.map(link => link.dataset.scenario)")
        assert listed == list(scenarios.NAMES)
        for name in ("ping", "nagle"):
            assert scenarios.get(name).question in page.page.inner_text(f"li:has([data-scenario={name}])")
        page.page.click("[data-scenario=nagle]")
        page.page.wait_for_selector(".facts")
        assert place_of(page) == "scenario/nagle/"
        assert page.page.get_attribute("#layout-beginner", "aria-pressed") == "true"
        assert "Why 40 ms?" in page.text(".reason")
        page.page.click("#start-page")
        page.page.wait_for_selector(".start-files")
        assert page.complaints == []


def test_a_recording_of_the_directory_opens_by_click(browser, served):
    with Page(browser, served.address, ready=".start-files") as page:
        listed = page.page.eval_on_selector_all("[data-file]", "links => links.map(link => link.dataset.file)")
        assert listed == ["rto.pytrace", "runs/ping#1.bin"]
        page.page.click("[data-file='runs/ping#1.bin']")
        page.page.wait_for_selector(".facts")
        assert page.page.evaluate("window.stepper.store.overview.name") == "runs/ping#1.bin"
        page.page.keyboard.press("ArrowDown")
        page.until("() => window.stepper.store.view.frame !== null")
        assert page.complaints == []


@pytest.mark.parametrize(
    "name",
    ["link.pytrace", "elsewhere/secret.pytrace", "../outside/secret.pytrace", "%2e%2e/outside/secret.pytrace", "notes.txt", "", "runs",
     "/etc/passwd", "..%2foutside%2fsecret.pytrace", "rto.pytrace%00", "./rto.pytrace"],
)  # fmt: skip
def test_nothing_else_is_opened(served, name):
    status, body, _ = served.ask("GET", f"file/{name}/api/0/overview")
    assert status == 404 and b"Nagle" not in body


def test_the_control_of_that(served):
    assert served.json("file/rto.pytrace/api/progress")["error"] == ""
    assert served.error("scenario/nothing/api/0/overview") == "no scenario 'nothing'"
    assert served.error("api/0/overview").startswith("nothing is open")


def test_a_file_that_is_no_recording_any_more(served, folder):
    """It says what is wrong on the page's own terms, and can be opened when it is a recording again."""
    path = folder / "changing.pytrace"
    path.write_bytes(scenarios.get("ping").record()[:200])
    until_ready(served, "changing.pytrace", error=": truncated")
    path.write_bytes(scenarios.get("ping").record())
    until_ready(served, "changing.pytrace")
    assert served.json("file/changing.pytrace/api/0/overview")["frames"] == 8
    path.unlink()


def until_ready(served, name, error=""):
    found = {}

    def over():
        found.update(served.json(f"file/{name}/api/progress"))
        return found["ready"] or found["error"]

    assert until(over)
    assert error in found["error"] and (found["error"] != "") == (error != "")


# -- the beginner's layout ---------------------------------------------------------------------------------------------


def test_one_button_leads_through_the_ladder(browser, served):
    with Page(browser, f"{served.address}scenario/handshake/") as page:
        rows = page.page.evaluate("window.stepper.store.overview.ladder.events")
        seen = []
        for row, event in enumerate(rows):
            page.page.click("#lesson-next")
            page.settled(event)
            page.until(
                "text => document.querySelector('.lesson-place').textContent === text", f"{row + 1} of {len(rows)}"
            )
            page.until("() => document.querySelector('#why').textContent !== ''")
            seen.append(page.text("#why"))
        assert page.page.is_disabled("#lesson-next")
        assert page.text(".lesson-after").startswith("Next scenario: A whole HTTP exchange")
        assert any("the third step of the handshake" in text for text in seen)
        page.page.click("#lesson-back")
        page.settled(rows[-2])
        page.page.keyboard.press("Home")
        page.settled(-1)
        page.page.keyboard.press("Space")
        page.settled(rows[0])
        assert page.complaints == []


def test_the_answer_is_in_large_type_and_in_sight(browser, served):
    with Page(browser, f"{served.address}scenario/loss-fast-retransmit/") as page:
        page.page.click("#lesson-answer")
        page.until("() => document.querySelector('#why')?.textContent.includes('Fast retransmit: bytes 5793:7241')")
        why = page.page.locator("#why")
        assert why.evaluate("node => parseFloat(getComputedStyle(node).fontSize)") >= 20
        box = why.bounding_box()
        assert box["y"] + box["height"] <= 768 and box["x"] + box["width"] <= 1366


def test_the_layout_is_chosen_by_a_switch_and_remembered(browser, served):
    with Page(browser, f"{served.address}scenario/rto/#frame=7") as page:
        at = page.position
        assert page.page.evaluate("window.stepper.store.view.frame.number") == 7
        page.page.click("#layout-expert")
        page.page.wait_for_selector("html[data-ready=expert] .place-right .tcb")
        page.settled(at)
        assert page.page.locator("#lesson-next").count() == 0
        assert "layout=expert" in page.page.url
        # another page, and another server at another port: the browser remembers
        page.page.goto(f"{served.address}scenario/nagle/")
        page.page.wait_for_selector("#layout-expert[aria-pressed=true]")
        with serving("ping") as other:
            page.page.goto(f"{other.address}#layout=beginner")
            page.page.wait_for_selector("#layout-beginner[aria-pressed=true]")
            page.page.goto("about:blank")
            page.page.goto(other.address)
            page.page.wait_for_selector("#layout-expert[aria-pressed=true]")
        assert page.complaints == []


@pytest.mark.parametrize("layout", ["beginner", "expert"])
def test_what_a_scenario_suggests_is_one_click(browser, served, layout):
    with Page(browser, f"{served.address}scenario/nagle/#layout={layout}&panes=whatif") as page:
        tries = page.page.locator("[data-try]")
        assert tries.count() == len(scenarios.get("nagle").tries)
        assert "a set TCP_NODELAY" in tries.first.inner_text()
        tries.first.click()
        page.page.wait_for_selector("#open-branch")
        figures = page.page.text_content(".figures")
        assert "0.190000 s0.040000 s" in figures
        # both runs are in the plot: its line of the first run ends at 195 ms, that of the second one at 45 ms
        page.page.wait_for_selector(".compared canvas")
        colours = page.page.evaluate(COLOURS)
        assert colours["--blue"] > 50 and colours["--orange"] > 50
        page.page.click("#open-branch")
        page.page.wait_for_selector(".facts")
        assert "what if a set TCP_NODELAY?" in page.text(".top .name")
        assert page.page.locator("[data-try]").count() == 0
        assert page.complaints == []


#: how many pixels of the plot of two runs have the colour of each run
COLOURS = """() => {
    const canvas = document.querySelector('.compared canvas');
    const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    const found = {};
    for (const name of ['--blue', '--orange']) {
        const [r, g, b] = getComputedStyle(document.documentElement).getPropertyValue(name).trim().match(/[0-9a-f]{2}/g).map(part => parseInt(part, 16));
        found[name] = 0;
        for (let i = 0; i < data.length; i += 4) if (data[i] === r && data[i + 1] === g && data[i + 2] === b && data[i + 3] === 255) found[name]++;
    }
    return found;
}"""


def test_no_arrow_crosses_a_word(browser, served):
    with Page(browser, f"{served.address}scenario/dns-recursion/#frame=6") as page:
        page.page.wait_for_selector(".ladder-rows .label")
        arrows, words = (
            page.page.eval_on_selector_all(
                selector, "nodes => nodes.map(node => node.getBoundingClientRect()).map(box => [box.left, box.right])"
            )
            for selector in (".arrow line:not(.hit), .arrow .tip, .lifeline", ".ladder-rows .words")
        )
        assert len(arrows) > 8 and len(words) > 8
        assert max(right for _, right in arrows) < min(left for left, _ in words)
        # on a link with more than two hosts, only copies of these frames were dropped
        assert page.page.locator(".arrow.fate-dropped").count() == 0


def test_the_link_leads_to_the_same_place(browser, served):
    with Page(browser, f"{served.address}scenario/rto/#frame=5&layout=expert") as page:
        at = page.position
        page.page.click("#link")
        address, command = page.page.eval_on_selector_all(
            "#link-box input", "fields => fields.map(field => field.value)"
        )
        assert command == "pystack step rto --web --at frame=5 --layout expert"
        page.page.keyboard.press("Escape")
        page.page.wait_for_selector("#link-box", state="detached")
        page.page.goto("about:blank")
        page.page.goto(address)
        page.page.wait_for_selector(".facts")
        page.settled(at)
    with serving(*command.split()[2:]) as other, Page(browser, other.address + "#layout=expert") as page:
        page.settled(at)


def test_the_question_stands_there_once(browser, served):
    """At an answer, too, whether the learner asked for it or came there step by step."""
    with Page(browser, f"{served.address}scenario/nagle/#frame=4&layout=beginner") as page:
        first = page.page.evaluate("window.stepper.store.overview.answers")[0]
        assert page.text("body").count("Why 40 ms?") == 1
        page.page.keyboard.press("a")
        page.settled(first)
        assert page.text("body").count("Why 40 ms?") == 1
        page.page.keyboard.press("Home")
        page.settled(-1)
        assert page.text("body").count("Why 40 ms?") == 1
        page.page.evaluate("at => window.stepper.store.goto(at)", first)
        page.settled(first)
        assert page.text("body").count("Why 40 ms?") == 1
        assert page.complaints == []


# -- for everybody -----------------------------------------------------------------------------------------------------


def test_a_projector_gets_large_type_and_high_contrast(browser, served):
    with Page(browser, f"{served.address}scenario/nagle/#frame=4") as page:
        height = "document.querySelector('.ladder-rows .label').getBoundingClientRect().height"
        page.page.wait_for_selector(".ladder-rows .label")
        before = page.page.evaluate(height)
        page.page.click("#projector")
        page.page.wait_for_selector("html[data-projector][data-ready]")
        page.page.wait_for_selector(".ladder-rows .label")
        assert page.page.evaluate(height) > 1.3 * before
        assert page.page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
        # nothing leaves the screen, and the chart takes the click where it is
        assert page.page.evaluate("document.documentElement.scrollHeight") <= 768
        page.page.click("[data-pane=sequence]")
        page.page.wait_for_selector(".chart[data-end] canvas")
        box = page.page.locator(".chart[data-end] .u-over").bounding_box()
        page.page.mouse.click(box["x"] + box["width"] * 0.98, box["y"] + 3)
        page.until("() => window.stepper.store.view.time > 0.18e9")
        page.page.goto(f"{served.address}start/")
        page.page.wait_for_selector(".start-scenarios")
        assert page.page.evaluate("document.documentElement.hasAttribute('data-projector')")  # remembered, too
        assert page.complaints == []


@pytest.mark.parametrize(
    "path",
    [
        "start/",
        "scenario/nagle/#frame=6",
        "scenario/nagle/#layout=expert&frame=6",
        "scenario/nagle/#ladder=scale&frame=6",
    ],
)
def test_a_phone_shows_it_without_scrolling_sideways(browser, served, path):
    ready = ".start-files" if path == "start/" else ".facts"
    with Page(browser, served.address + path, ready=ready, viewport=PHONE, has_touch=True) as page:
        assert page.page.evaluate("document.documentElement.scrollWidth") <= 375
        if "beginner" in page.page.url:
            box = page.page.locator("#lesson-next").bounding_box()
            assert box["height"] >= 40 and box["y"] + box["height"] < 400
            at = page.position
            page.page.tap("#lesson-next")
            page.until("at => window.stepper.store.position > at", at)
        assert page.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    "path",
    ["start/", "scenario/nagle/", "scenario/nagle/#frame=6", "scenario/nagle/#layout=expert&frame=6", "scenario/dns-recursion/#layout=expert&frame=4",
     "scenario/rto/#layout=expert&event=70&panes=events,states,whatif,timers", "scenario/time-wait/#ladder=scale&frame=6",
     "scenario/post/#layout=expert&ladder=scale&event=300"],
)  # fmt: skip
def test_axe_finds_nothing_serious(browser, served, path, scheme):
    if not AXE.exists():
        pytest.skip("the package axe-core is not installed (npm is missing)")
    ready = ".start-files" if path == "start/" else ".facts"
    # the page's policy forbids other scripts, such as axe
    with Page(browser, served.address + path, ready=ready, bypass_csp=True, color_scheme=scheme) as page:
        page.page.wait_for_timeout(300)
        page.page.add_script_tag(path=str(AXE))
        found = page.page.evaluate("axe.run({ resultTypes: ['violations'] })")
        serious = [
            (one["id"], one["impact"], [node["html"][:160] for node in one["nodes"][:4]])
            for one in found["violations"]
            if one["impact"] in ("serious", "critical")
        ]
        assert serious == []
        # the control: axe does find what is wrong
        page.page.evaluate("document.querySelector('main').append(document.createElement('button'))")
        found = page.page.evaluate("axe.run({ resultTypes: ['violations'] })")
        assert "button-name" in [one["id"] for one in found["violations"]]


KEYS = (
    ("n", "event", 1), ("f", "frame", 1), ("ArrowDown", "frame", 1), ("t", "rtt", 1), ("l", "layer", 1), ("F", "frame", -1),
    ("p", "event", -1), ("}", "rtt", 1), ("T", "rtt", -1),
)  # fmt: skip


def test_the_keyboard_alone_is_enough(browser, served):
    """From the start page into a scenario, through it, to a what-if; the keys of the stepper are the same in both layouts."""
    with Page(browser, f"{served.address}start/", ready=".start-scenarios") as page:
        for _ in range(40):
            page.page.keyboard.press("Tab")
            if page.page.evaluate("document.activeElement.dataset.scenario") == "nagle":
                break
        page.page.keyboard.press("Enter")
        page.page.wait_for_selector(".facts")
        timeline = scenarios.get("nagle").timeline()
        for layout in ("beginner", "expert"):
            page.page.focus(f"#layout-{layout}")
            page.page.keyboard.press("Enter")
            page.page.wait_for_selector(f"html[data-ready={layout}]")
            page.page.keyboard.press("Home")
            page.settled(-1)
            cursor = Cursor(timeline)
            for key, unit, count in KEYS:
                page.page.keyboard.press(key)
                cursor.step(unit, count)
                page.settled(cursor.position)
            page.page.keyboard.press("a")
            page.settled(scenarios.get("nagle").answers(timeline)[0])
        assert page.complaints == []


# -- looking for things ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    """The exported page, which has the same answers without a server."""
    path = tmp_path_factory.mktemp("looking") / "page.html"
    command = [sys.executable, "-m", "pystack.cli", "step", "http-get", "--export", str(path)]
    subprocess.run(command, check=True, cwd=ROOT, capture_output=True, timeout=60)
    return path.as_uri()


@pytest.fixture(params=["served", "exported"])
def address(request, served, page_file):
    return page_file if request.param == "exported" else f"{served.address}scenario/http-get/"


def test_a_click_on_a_value_leads_to_its_last_change(browser, address):
    timeline = scenarios.get("http-get").timeline()
    key = next(key for key in timeline.connections if key.startswith("a tcp"))
    with Page(browser, f"{address}#layout=expert&event={len(timeline.events) - 40}") as page:
        at = page.position
        for _ in range(3):
            at = last_change(timeline, at, key, "snd_una")
            page.page.click(f'.tcb td[data-field=snd_una][data-key="{key}"] button')
            if at < 0:
                page.until("() => /did not change before/.test(document.querySelector('#status').textContent)")
                break
            page.settled(at)
            assert "the last change of SND.UNA" in page.text(".facts .note")
        assert page.complaints == []


def test_search_finds_events_fields_and_values(browser, address):
    timeline = scenarios.get("http-get").timeline()
    with Page(browser, f"{address}#layout=expert") as page:
        for text in ("initial congestion window", "ip.ttl 64", "snd_una=41078894", "not anywhere"):
            page.page.keyboard.press("S")
            page.page.fill("#search", text)
            page.page.keyboard.press("Enter")
            hits, _ = search.search(timeline, text, most=10_000, seconds=60)
            page.until("text => document.querySelector('#search-count').textContent === text", f"{len(hits)} found")
            page.page.keyboard.press("Escape")
            if hits:
                page.page.click(".search .event-row >> nth=0")
                page.settled(hits[0].event)
        assert page.complaints == []


def test_a_conversation_is_followed(browser, address):
    with Page(browser, f"{address}#layout=expert&panes=streams") as page:
        page.page.click("[data-talk='0'] button")
        page.page.wait_for_selector(".said.way-1[data-frame]")
        said = page.page.text_content("#stream .said-all")
        assert said.startswith("GET / HTTP/1.0\r\nHost: b\r\n\r\nHTTP/1.0 200 OK")
        page.page.click(".said-all .said.way-0")
        page.until("() => window.stepper.store.view.frame?.number === 4")
        assert page.complaints == []


def test_a_place_is_named_as_in_the_terminal(browser, address):
    cursor = Cursor(scenarios.get("http-get").timeline())
    said = []
    with Page(browser, f"{address}#layout=expert") as page:
        page.page.on("dialog", lambda dialog: dialog.accept(said[-1]))
        for text, place in [
            ("frame 4", "frame=4"), ("frame=5", "frame=5"), ("6", "frame=6"), ("event 40", "event=40"), ("e41", "event=41"),
            ("time 0.015", "time=0.015"), ("25ms", "time=0.025"), ("time=0.035", "time=0.035"),
        ]:  # fmt: skip
            said.append(text)
            page.page.keyboard.press("g")
            cursor.at(place)
            page.settled(cursor.position)
        assert page.complaints == []


def test_a_place_that_is_none_is_refused(browser, address):
    with Page(browser, f"{address}#layout=expert") as page:
        page.page.on("dialog", lambda dialog: dialog.accept("frame 4000"))
        page.page.keyboard.press("g")
        page.until("() => document.querySelector('.status.bad')?.textContent.includes('write frame 12')")
        assert page.position == -1
