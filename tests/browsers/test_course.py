"""The course in Firefox and WebKit, as `pystack course` serves it: predict, run, check, stop, two tabs."""

import pytest

from pystack.labs.folders import lab_of
from tests.stepper.web.served import commanding

READY = ".course-body h1"
LAB = 17
EDITOR = "window.course.view.exercise.editor"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with commanding("course", XDG_STATE_HOME=str(tmp_path_factory.mktemp("state"))) as server:
        yield server


def at(browser, place):
    browser.until("place => document.documentElement.dataset.ready === place", str(place))


def open_lab(browser, served):
    browser.open(f"{served.address}#lab={LAB}", READY)
    at(browser, LAB)


def write(browser, text):
    browser.evaluate(f"text => {{ {EDITOR}.text = text; }}", text)


def check(browser):
    browser.evaluate("() => { delete document.querySelector('#grade').dataset.verdict; }")
    browser.click("#check")
    browser.until(
        "() => document.querySelector('#grade').dataset.verdict && !document.querySelector('#check').disabled"
    )
    return browser.evaluate("document.querySelector('#grade').dataset.verdict")


def saved(browser):
    browser.until("() => document.querySelector('#saved').textContent.startsWith('saved in')")


def enter_stepper(browser):
    """Wait for the stepper, which the page has scrolled to, and click into it."""
    browser.enter_frame("iframe.stepper")
    browser.wait(".facts")
    browser.leave_frame()
    box = "document.querySelector('iframe.stepper').getBoundingClientRect()"
    browser.until(f"() => {box}.top > -2 && {box}.bottom < innerHeight + 2")
    browser.enter_frame("iframe.stepper")
    browser.click(".facts")


def test_a_lab_from_the_prediction_to_the_solution(browser, served):
    browser.open(served.address, READY)
    at(browser, "list")
    browser.click(f"[data-lab='{LAB}']")
    at(browser, LAB)
    browser.click("#value-0")
    browser.type("60\n")
    browser.until("() => document.querySelector('#verdict').textContent.includes('1 of your 1 prediction is right.')")
    browser.click(".cm-content")
    browser.press("Control+a")
    browser.type("x = 1\ny")
    assert browser.evaluate(f"{EDITOR}.text") == "x = 1\ny"
    assert check(browser) == "error" and "NameError" in browser.text("#grade")
    write(browser, lab_of(str(LAB)).solution.read_text())
    assert check(browser) == "right"
    browser.until("() => document.querySelector('.facts [data-state]').dataset.state === 'solved'")
    write(browser, "import time\ntime.sleep(1000)\n")
    browser.click("#check")
    browser.click("#stop-check")
    browser.until("() => document.querySelector('#grade').textContent === 'You stopped the check.'")
    assert browser.complaints() == []


def test_the_stepper_of_a_lab_is_in_sight_and_takes_keys(browser, served):
    open_lab(browser, served)
    browser.click("[data-step='17.1']")
    enter_stepper(browser)
    start = browser.evaluate("window.stepper.store.position")
    for key, position in (("ArrowRight", start + 1), ("ArrowLeft", start)):
        browser.press(key)
        browser.until("position => window.stepper.store.position === position", position)
    browser.leave_frame()
    assert browser.complaints() == []


def test_two_tabs_have_the_same_text(browser, served):
    open_lab(browser, served)
    one = browser.tab()
    write(browser, "# one\n")
    saved(browser)
    browser.new_tab()
    open_lab(browser, served)
    assert browser.evaluate(f"{EDITOR}.text") == "# one\n"
    write(browser, "# two\n")
    saved(browser)
    browser.to_tab(one)
    browser.evaluate("() => document.dispatchEvent(new Event('visibilitychange'))")
    browser.until(f"() => {EDITOR}.text === '# two\\n'")
    browser.reload(READY)
    at(browser, LAB)
    assert browser.evaluate(f"{EDITOR}.text") == "# two\n"
    assert browser.complaints() == []


def test_a_page_that_is_left_at_once_has_saved(browser, served):
    open_lab(browser, served)
    browser.evaluate(
        f"() => {{ {EDITOR}.text = '# left\\n'; setTimeout(() => {{ location.href = 'about:blank'; }}); }}"
    )
    browser.until("() => location.href === 'about:blank'")
    open_lab(browser, served)
    browser.until(f"() => {EDITOR}.text === '# left\\n'")
    browser.complaints()  # Firefox says it if it has ended a script of the page
