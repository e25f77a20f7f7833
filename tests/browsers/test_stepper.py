"""The stepper in Firefox and WebKit: steps, why, a breakpoint, an address, search, the waterfall, a plot, a stream, "Try it"."""

import pytest

from tests.stepper.web.served import serving
from tests.stepper.web.test_learners import COLOURS

POSITION = "window.stepper.store.position"
READY = ".facts"


@pytest.fixture(scope="module")
def served():
    with serving() as server:
        yield server


def show(browser, served, scenario, place):
    browser.open(f"{served.address}scenario/{scenario}/#layout=expert&{place}", READY)


def at(browser, event):
    browser.until(f"event => {POSITION} === event", event)


def test_steps_reasons_and_a_breakpoint(browser, served):
    show(browser, served, "loss-fast-retransmit", "event=40")
    at(browser, 40)
    for key, event in (("ArrowRight", 41), ("n", 42), ("ArrowLeft", 41), ("Home", -1)):
        browser.press(key)
        at(browser, event)
    browser.click("#next")
    at(browser, 0)
    browser.press("a")  # the answer to the scenario's question
    browser.until("() => document.querySelector('#kind').textContent === 'tcp.retransmit'")
    browser.until("() => document.querySelector('#why').textContent.includes('Fast retransmit: bytes 5793:7241')")
    answer = browser.evaluate(POSITION)
    browser.press("b")
    browser.type("tcb.total_retrans > 0\n")
    browser.wait(".break code")
    browser.click("#run")
    browser.until(f"answer => {POSITION} > answer", answer)
    assert "stopped by tcb.total_retrans" in browser.text(".facts .note")
    assert browser.complaints() == []


def test_an_address_leads_to_a_place_and_back(browser, served):
    show(browser, served, "http-get", "event=60&panes=events")
    at(browser, 60)
    browser.wait(".event-row.current")
    browser.evaluate("() => { location.hash = 'event=100'; }")
    at(browser, 100)
    browser.evaluate("() => history.back()")
    at(browser, 60)
    browser.reload(READY)
    at(browser, 60)
    browser.press("S")
    browser.type("snd_una=41078894\n")
    browser.until("() => / found$/.test(document.querySelector('#search-count').textContent)")
    browser.click(".search .event-row")
    browser.until(f"() => {POSITION} !== 60")
    assert browser.complaints() == []


def test_the_waterfall_and_a_conversation(browser, served):
    show(browser, served, "http-get", "event=-1&panes=streams,time")
    browser.click("[data-span='3']")
    browser.until("() => document.querySelector('.span-row.current')?.dataset.span === '3'")
    assert browser.evaluate(POSITION) > 0
    browser.wait("[data-talk='0'] button")
    browser.evaluate(
        "() => document.querySelector('[data-talk=\"0\"] button').click()"
    )  # WebKit's driver says that it cannot
    browser.wait(".said.way-1[data-frame]")
    said = browser.evaluate("document.querySelector('#stream .said-all').textContent")
    assert said.startswith("GET / HTTP/1.0\r\nHost: b\r\n\r\nHTTP/1.0 200 OK")
    browser.click(".said-all .said.way-0")
    browser.until("() => window.stepper.store.view.frame?.number === 4")
    assert browser.complaints() == []


def test_the_ladder_is_to_scale_with_a_key(browser, served):
    pressed = "() => document.querySelector('#to-scale').getAttribute('aria-pressed') === 'true'"
    show(browser, served, "time-wait", "event=100&panes=ladder")
    browser.wait(".arrow")
    assert not browser.evaluate(f"({pressed})()")
    browser.press("m")
    browser.until(pressed)
    browser.until("() => document.querySelector('.broken')?.textContent === '210 ms later (not to scale)'")
    lines = "[...document.querySelectorAll('.arrow.fate-delivered line:not(.hit)')].map((one) => one.y2.baseVal.value - one.y1.baseVal.value)"
    heights = browser.evaluate(lines)
    assert len(heights) > 5 and max(heights) - min(heights) < 12  # all flights take the same time
    browser.reload(READY)
    browser.until(pressed)
    browser.press("m")
    browser.until("() => !document.querySelector('.broken')")
    assert browser.complaints() == []


def test_it_is_tried_what_would_happen_if(browser, served):
    show(browser, served, "nagle", "panes=whatif")
    browser.click("[data-try]")
    browser.wait(".compared canvas")
    assert "0.190000 s0.040000 s" in browser.evaluate("document.querySelector('.figures').textContent")
    browser.until(f"() => Object.values(({COLOURS})()).every((pixels) => pixels > 50)")
    assert browser.complaints() == []


def test_it_looks_as_in_chromium(browser, served):
    """Each list has its arrow from the style sheet, and each name in a list of events is whole."""
    show(browser, served, "post", "event=2000&panes=events,time")
    browser.wait(".event-row .host")
    assert browser.evaluate(
        "[...document.querySelectorAll('.bar select')].map((one) => one.offsetHeight).every((one) => one < 28)"
    )
    cut = "[...document.querySelectorAll('.event-row .host')].filter((one) => one.scrollWidth > one.clientWidth + 1).length"
    assert browser.evaluate(cut) == 0
    browser.press("d")
    assert browser.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 22, 26)"
    assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert browser.complaints() == []
