"""The pane "Time": the waterfall of a request in a real browser, linked both ways with the cursor, and beside another run."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from pystack.stepper import changes, scenarios
from pystack.stepper.branch import branch
from pystack.stepper.export import export
from pystack.stepper.timing import path
from pystack.stepper.timing.requests import event_of, span_at
from pystack.stepper.timing.text import ms
from tests.stepper.web.page import Page
from tests.stepper.web.served import ROOT, serving

AXE = ROOT / "web" / "node_modules" / "axe-core" / "axe.min.js"


@pytest.fixture(scope="module")
def nagle():
    return scenarios.get("nagle")


@pytest.fixture(scope="module")
def timeline(nagle):
    return nagle.timeline()


@pytest.fixture(scope="module")
def served():
    with serving("nagle", "--against", "delayed-ack") as server:
        yield server


def opened(browser, server, place=""):  # noqa: F811
    page = Page(browser, f"{server.address}#event=-1&panes=time{place}")
    page.page.wait_for_selector(".span-row")
    return page


def rows(page, which=0):
    """The rows of a waterfall: (words, duration) as a person reads them."""
    script = """which => [...document.querySelectorAll(".waterfall")[which].querySelectorAll(".span-row")].map(row =>
        [row.querySelector(".span-words").textContent, row.querySelector(".span-time").textContent])"""
    return [tuple(row) for row in page.page.evaluate(script, which)]


def shown(spans, marks=None):
    """What the rows must say."""
    found = []
    for span in spans:
        words = f"{span.cause} ({span.why})" if span.why else span.cause
        place = f"frame {span.frame}" if span.frame else span.host
        found.append((f"{(marks or {}).get(words, '')}{words} {place}", ms(span.duration)))
    return found


# -- the server ------------------------------------------------------------------------------------------------------


def test_the_answer_is_the_path(served, timeline):
    found, known = served.json("api/0/time"), path(timeline)
    assert found["connection"] == known.conn and found["end"] - found["begin"] == known.elapsed
    assert [(one["start"], one["end"], one["cause"], one["why"], one["text"]) for one in found["spans"]] == [
        (one.start - timeline.start, one.end - timeline.start, one.cause, one.why, one.text) for one in known
    ]
    assert sum(time for _, _, time in found["totals"]) == known.elapsed
    assert all(found["causes"][one["cause"]][0] in found["groups"] for one in found["spans"])
    assert found["runs"] == [["against", "delayed-ack"]]
    assert served.json("api/against/time")["spans"]


def test_a_request_between_two_places(served, timeline):
    found = served.json("api/0/time?from=frame%3D4&to=frame%3D5")
    assert found["begin"] == timeline.frames[3].time - timeline.start
    assert found["end"] == timeline.frames[4].arrival - timeline.start
    assert sum(one["end"] - one["start"] for one in found["spans"]) == found["end"] - found["begin"]


def test_wrong_requests_get_one_line(served):
    for query, words in (
        ("connection=nobody", "no connection has 'nobody' in its name"),
        ("from=frame%3D999", "there are frames 1 to"),
        ("to=noon", "write frame=N, event=N or time=SECONDS"),
        ("from=event%3D90&to=event%3D3", "comes before"),
        ("from=" + "9" * 600, "short texts"),
    ):
        assert words in served.error(f"api/0/time?{query}"), query


def test_it_is_guarded_as_the_others_are(served):
    assert served.ask("GET", "api/0/time")[0] == 200  # the control
    assert served.ask("GET", "api/0/time", Host="evil.example")[0] == 421
    assert served.ask("GET", "api/0/time", Origin="http://evil.example")[0] == 403
    assert served.ask("GET", "/wrong/api/0/time")[0] == 404
    assert served.error("api/9/time").startswith("no trace")


# -- the page --------------------------------------------------------------------------------------------------------


def test_the_waterfall_shows_every_span_and_its_exact_time(browser, served, timeline):  # noqa: F811
    known = path(timeline)
    with opened(browser, served, "&zoom=upper") as page:
        assert rows(page) == shown(known.spans)
        assert page.text("#time-total b") == "195.000 ms"
        # colours are never alone: the legend and each row have words, and the bars of a group have a pattern
        legend = page.text(".time-legend")
        assert "held back 61.5 %" in legend and "on its way 38.5 %" in legend
        script = "node => getComputedStyle(node).backgroundImage"
        assert "gradient" in page.page.locator(".span-bar.group-held").first.evaluate(script)
        # the bars are as long as the spans
        widths = page.page.eval_on_selector_all(".track", "all => all.map(one => one.clientWidth)")
        bars = page.page.eval_on_selector_all(".span-bar", "all => all.map(one => one.getBoundingClientRect().width)")
        for span, width, bar in zip(known.spans, widths, bars, strict=True):
            assert abs(bar - width * span.duration / known.elapsed) < 3
        assert page.complaints == []


def test_a_span_leads_to_its_frame_and_the_frame_to_its_span(browser, served, timeline):  # noqa: F811
    known = path(timeline)
    (delayed, *_) = (at for at, span in enumerate(known.spans) if span.cause == "delayed ACK")
    with opened(browser, served) as page:
        page.page.keyboard.press("z")
        for at in (0, delayed, delayed + 1):
            page.page.click(f'[data-span="{at}"]')
            span = known.spans[at]
            page.settled(event_of(timeline, span))
            page.until("at => document.querySelector('.span-row.current')?.dataset.span === String(at)", at)
            detail = page.text("#time-detail")
            assert ms(span.duration) in detail and span.cause in detail and span.text in detail
            if span.frame:
                page.until("n => window.stepper.store.view.frame?.number === n", span.frame)
        # with the keyboard alone: the next span, and back to the first one
        page.page.focus(".waterfall")
        page.page.keyboard.press("ArrowDown")
        page.settled(event_of(timeline, known.spans[delayed + 2]))
        page.page.keyboard.press("Home")
        page.settled(event_of(timeline, known.spans[0]))
        page.page.keyboard.press("Escape")
        # and the cursor, wherever it is moved, marks its span
        for position in range(0, len(timeline.events), 23):
            page.page.evaluate("at => window.stepper.store.goto(at)", position)
            page.settled(position)
            wanted = span_at(timeline, known.spans, position)
            page.until("at => (document.querySelector('.span-row.current')?.dataset.span ?? '-1') === at", str(wanted))
        page.page.evaluate("at => window.stepper.store.goto(at)", timeline.frames[3].event)
        page.until("() => document.querySelectorAll('.span-here').length > 0")
        place = "document.querySelector('.span-here').style.left"
        share = 100 * (timeline.frames[3].time - known.begin) / known.elapsed
        assert abs(float(page.page.evaluate(place).rstrip("%")) - share) < 0.01
        assert page.complaints == []


def test_the_request_is_chosen_in_the_pane(browser, served, timeline):  # noqa: F811
    with opened(browser, served) as page:
        page.page.fill("#time-from", "frame=4")
        page.page.fill("#time-to", "frame=5")
        page.page.click("#time-show")
        page.until("() => document.querySelector('#time-total b')?.textContent === '50.000 ms'")
        page.page.fill("#time-to", "noon")
        page.page.click("#time-show")
        page.until("() => /write frame=N/.test(document.querySelector('#time-total').textContent)")
        page.until("() => document.querySelectorAll('.span-row').length === 0")
        page.page.fill("#time-from", "")
        page.page.fill("#time-to", "")
        server = next(key for key in timeline.connections if key.startswith("b tcp 10.0.0.2:80-10"))
        page.page.select_option("#time-conn", server)
        page.page.click("#time-show")
        page.page.wait_for_selector(".span-row")
        assert page.text("#time-total b") == ms(path(timeline, server).elapsed)
    # a key opens it
    with Page(browser, f"{served.address}#event=5") as page:
        assert page.page.locator(".time-pane").count() == 0
        page.page.keyboard.press("s")
        page.page.wait_for_selector(".span-row")


def test_two_runs_side_by_side_and_what_grew(browser, nagle, timeline):  # noqa: F811
    other = branch(nagle, None, changes.parse("nodelay=a"))
    before, after = path(timeline), path(other)
    with serving("nagle") as server, opened(browser, server, ",whatif") as page:
        assert page.page.locator("#time-against").is_hidden()  # there is no other run yet
        page.page.evaluate("at => window.stepper.store.goto(at)", timeline.frames[3].event)
        page.page.select_option("#change", "nodelay")
        page.page.fill("#argument", "a")
        page.page.click("#run-branch")
        page.page.wait_for_selector("#open-branch")
        page.page.select_option("#time-against", "1")
        page.until("() => document.querySelectorAll('.waterfall').length === 2")
        page.page.wait_for_selector(".time-grown tr.shrank")
        assert "195.000 ms" in page.text("#time-total") and "→ 45.000 ms" in page.text("#time-total")
        first = page.text(".time-grown tbody tr").split()
        assert first == "delayed ACK (Nagle) 120.000 ms 0.000 ms ▼ −120.000 ms".split()
        # the place of the change is another one than the command chooses, but the answer is the same
        assert (before.elapsed, after.elapsed) == (195_000_000, 45_000_000)
        page.page.keyboard.press("z")
        script = "() => document.querySelectorAll('.waterfall')[1].querySelectorAll('.span-row')[1].click()"
        page.page.evaluate(script)
        assert "step through that run here" in page.text("#time-detail")
        assert page.page.get_attribute("#time-detail a", "href").startswith("?trace=1#event=")
        assert page.complaints == []


def test_a_second_file_beside_the_run(browser, tmp_path, nagle):  # noqa: F811
    file = tmp_path / "rto.pytrace"
    file.write_bytes(scenarios.get("rto").record())
    with serving("nagle", "--against", str(file)) as server, opened(browser, server) as page:
        page.page.select_option("#time-against", "against")
        page.page.wait_for_selector(".time-grown tr.grew")
        assert "RTO (loss, retransmission timeout)" in page.text(".time-grown tbody tr")
        assert "▲" in page.text(".time-grown tbody tr")
        assert page.complaints == []


def test_the_exported_page_has_the_waterfall(browser, tmp_path, timeline):  # noqa: F811
    file = tmp_path / "page.html"
    export(timeline, str(file))
    with Page(browser, file.as_uri() + "#event=-1&panes=time&zoom=upper", offline=True) as page:
        page.page.wait_for_selector(".span-row")
        assert rows(page) == shown(path(timeline).spans)
        assert page.page.locator("#time-from").count() == 0  # it has whole requests only
        assert page.complaints == []


def test_a_run_without_tcp_says_so(browser, tmp_path):
    """A served page has the pane, because the user may say where the request begins and ends. An exported one has none."""
    with serving("ping") as server, Page(browser, f"{server.address}#event=3&panes=time") as page:
        page.page.wait_for_selector("#time-total .empty")
        assert "no TCP connection with data" in page.text("#time-total")
        page.page.fill("#time-from", "frame=1")
        page.page.fill("#time-to", "frame=2")
        page.page.click("#time-show")
        page.page.wait_for_selector(".span-row")
        assert len(page.complaints) <= 1  # the browser's line about the answer 400
    file = tmp_path / "ping.html"
    export(scenarios.get("ping").timeline(), str(file))
    with Page(browser, file.as_uri() + "#event=3&panes=time") as page:
        assert page.page.locator(".time-pane").count() == 0
        assert page.complaints == []


# -- for everybody ---------------------------------------------------------------------------------------------------


def problems(page):
    """What axe finds in the pane: (impact, rule, elements)."""
    page.page.evaluate(f"() => {{ {AXE.read_text()}\n; }}")
    found = page.page.evaluate("() => axe.run('.time-pane').then(found => found.violations)")
    return [(one["impact"], one["id"], [node["html"][:200] for node in one["nodes"]][:3]) for one in found]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1366, 768), (390, 844)], ids=["desktop", "phone"])
def test_axe_finds_nothing_serious(browser, served, scheme, size):  # noqa: F811
    if not AXE.exists():
        pytest.skip("the package axe-core is not installed (npm is missing)")
    with Page(browser, f"{served.address}#event=30&panes=time", color_scheme=scheme) as page:
        page.page.set_viewport_size({"width": size[0], "height": size[1]})
        page.page.wait_for_selector(".span-row")
        page.page.select_option("#time-against", "against")
        page.page.wait_for_selector(".time-grown tr")
        page.page.click('[data-span="4"]')
        page.page.wait_for_selector(".span-row.current")
        page.page.locator(".time-pane").scroll_into_view_if_needed()
        assert [one for one in problems(page) if one[0] in ("serious", "critical")] == []
        page.page.evaluate("() => document.querySelector('#time-conn').removeAttribute('aria-label')")
        assert "select-name" in [rule for _, rule, _ in problems(page)]  # the control


def test_it_works_on_a_phone(browser, served):  # noqa: F811
    with Page(browser, f"{served.address}#event=30&panes=time") as page:
        page.page.set_viewport_size({"width": 390, "height": 844})
        page.page.wait_for_selector(".span-row")
        page.page.locator(".span-row").nth(4).click()
        page.page.wait_for_selector(".span-row.current")
        assert page.page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
        inside = "node => { const box = node.getBoundingClientRect(); return box.left >= 0 && box.right <= innerWidth && box.height > 150; }"
        assert page.page.locator(".waterfall").first.evaluate(inside)
        assert page.page.locator(".span-row .span-words").first.evaluate("node => node.clientWidth > 120")


# -- the flagship ----------------------------------------------------------------------------------------------------


def test_the_post_its_largest_span_and_both_waterfalls(browser):  # noqa: F811
    """The largest span of the scenario post, its event and why; the run with one write beside it, and what shrank."""
    with ThreadPoolExecutor(1) as elsewhere:  # Playwright has an event loop in this thread, in which no network can run
        post = elsewhere.submit(scenarios.get("post").timeline).result()
    known = path(post)
    largest = max(known, key=lambda span: span.duration)
    with serving("post", "--against", "post:one-write") as server, opened(browser, server, "&zoom=upper") as page:
        page.page.click("#time-largest")
        page.settled(event_of(post, largest))
        detail = page.text("#time-detail")
        assert "40.000 ms delayed ACK (Nagle)" in detail and "db" in detail and "Nagle's algorithm" in detail
        assert "delayed-ack timer expired" in page.text("#reason")
        page.page.select_option("#time-against", "against")
        page.page.wait_for_selector(".time-grown tr.shrank")
        assert page.text(".time-grown tbody tr").split()[-3:] == ["▼", "−200.000", "ms"]
        assert page.page.locator(".waterfall").count() == 2 and ms(known.elapsed) in page.text("#time-total")
        # from the span to the frames around it: the next one is the acknowledgement that was held back
        page.page.keyboard.press("Escape")
        page.page.focus(".waterfall")
        page.page.keyboard.press("ArrowDown")
        after = known.spans[known.spans.index(largest) + 1]
        page.until("n => window.stepper.store.view.frame?.number === n", after.frame)
        assert post.frames[after.frame - 1].host == "db"
        assert page.complaints == []
