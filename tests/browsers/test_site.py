"""The static site in Firefox and WebKit: a lab, the hash of a transfer, the stepper in its frame, and without a server."""

import inspect
import json

import pytest

from tests.browsers.driven import ALL
from tests.browsers.test_course import EDITOR, READY, at, check, enter_stepper, write
from tests.site import same
from tests.site.conftest import serving

LAB = 17
#: what test_same.py runs in the site's Python, as a learner's file that prints its result
TRANSFER = f"""
import hashlib, json, random
from pystack.sim.network import MS, Network
from pystack.sim.programs import spawn, stream
SIZE = {same.SIZE}

{inspect.getsource(same.digest)}
{inspect.getsource(same.transfer)}
print(json.dumps(transfer()))
"""


pytestmark = pytest.mark.skipif(not ALL, reason="it takes minutes: make browsers runs it")


@pytest.mark.timeout(600)
def test_the_course_without_a_server(browser, site):
    with serving(site.parents[1]) as port:
        browser.open(f"http://127.0.0.1:{port}/some/course/", READY)
        at(browser, "list")
        browser.evaluate("lab => { location.hash = `lab=${lab}`; }", LAB)
        at(browser, LAB)
        browser.click("#run")
        browser.until("() => document.querySelector('#verdict').textContent.includes('Every measured value is what')")
        step_in_the_frame(browser)
        write(browser, TRANSFER)
        check(browser)
        printed = browser.evaluate("[...document.querySelectorAll('#grade pre')].at(-1).textContent")
        assert json.loads(printed) == same.transfer()
        write(browser, "# mine\n")
        browser.until("() => document.querySelector('#saved').textContent.startsWith('saved')")
        browser.until("() => document.documentElement.dataset.offline === 'true'")
    browser.reload(READY)
    at(browser, LAB)
    assert browser.evaluate(f"{EDITOR}.text") == "# mine\n"
    assert browser.complaints() == []


def step_in_the_frame(browser):
    """Step on, and change the layout: the frame has no address, so it keeps its place by itself."""
    browser.click("#look [data-step]")
    enter_stepper(browser)
    start = browser.evaluate("window.stepper.store.position")
    browser.press("ArrowRight")
    browser.until("position => window.stepper.store.position === position", start + 1)
    browser.click("#layout-expert")
    browser.until("() => document.documentElement.dataset.ready === 'expert'")
    assert browser.evaluate("window.stepper.store.position") == start + 1
    browser.click("#link")
    assert "about:" not in browser.evaluate(
        "[...document.querySelectorAll('#link-box input')].map((one) => one.value).join()"
    )
    browser.leave_frame()
