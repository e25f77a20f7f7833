"""What an outsider met on the page: the beginner's panes follow the cursor, nothing is cut off or said twice, an address that is pasted leads there."""

import pytest

from pystack.stepper import scenarios
from tests.stepper.web.page import Page
from tests.stepper.web.served import serving


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with serving(cwd=tmp_path_factory.mktemp("empty")) as server:
        yield server


def test_the_beginners_panes_show_the_connection_at_the_cursor(browser, served):
    """The beginner's layout has no pane for the TCB, and the states and the plots follow the cursor all the same."""
    timeline = scenarios.get("accept-queue").timeline()
    opened = [entry for entry in timeline.events if entry.kind == "tcp.state" and entry.fields["new"] == "SYN-SENT"]
    assert len({entry.conn for entry in opened}) == 6
    with Page(browser, f"{served.address}scenario/accept-queue/#layout=beginner&panes=states") as page:
        for entry in opened[:2]:
            page.page.evaluate("at => window.stepper.store.goto(at)", entry.index)
            page.until("() => document.querySelector('.state.here')?.dataset.state === 'SYN-SENT'")
            page.until("() => document.querySelector('.edge.now')?.dataset.edge === 'CLOSED>SYN-SENT'")
        page.page.keyboard.press("Home")
        page.settled(-1)
        page.page.click("[role=tab]:has-text('Sequence')")
        for entry in opened[:2]:
            page.page.evaluate("at => window.stepper.store.goto(at)", entry.index)
            page.until("key => document.querySelector('.pane-body select').value === key", entry.conn)
        assert page.complaints == []


def test_the_experts_panes_agree_on_the_connection(browser, served):
    """Also after another connection was chosen by hand, and before the first event."""
    with Page(browser, f"{served.address}scenario/accept-queue/#layout=expert&event=100") as page:
        page.page.select_option(".place-right select", index=2)
        chosen = page.page.input_value(".place-right select")
        ends = chosen.split(" tcp ")[1].split("-")
        page.until("ends => ends.every(end => document.querySelector('.place-upper select').value.includes(end))", ends)
        page.page.keyboard.press("Home")
        page.settled(-1)
        page.until("() => document.querySelector('.place-right .scroll .empty')?.textContent === 'no connection yet'")
        assert page.complaints == []


def test_a_long_question_is_not_cut_off(browser, served):
    with Page(
        browser, f"{served.address}scenario/slow-start/#layout=beginner", viewport={"width": 1024, "height": 768}
    ) as page:
        page.page.click("#lesson-answer")
        page.until("() => document.querySelector('.facts .note') !== null")
        row, note = (page.page.locator(place).bounding_box() for place in (".facts", ".facts .note"))
        assert note["width"] <= row["width"] and note["height"] > 30  # it has two lines


def test_the_code_in_a_story_looks_like_code(browser, served):
    with Page(browser, f"{served.address}scenario/mongodb/#layout=beginner") as page:
        assert page.page.locator(".lesson-story code").all_inner_texts() == ["find", "getMore"]
        assert "`" not in page.text(".lesson-story")


def test_an_address_that_is_pasted_into_the_open_page_opens_panes_and_layout(browser, served):
    with Page(browser, f"{served.address}scenario/nagle/#layout=beginner") as page:
        page.page.evaluate("location.hash = '#event=69&panes=sequence&zoom=left&layout=beginner'")
        page.settled(69)
        page.until("() => document.querySelector('[role=tab][aria-selected=true]').textContent === 'Sequence'")
        assert page.page.locator(".zoomed").count() == 1
        page.page.evaluate("location.hash = '#event=70&panes=sequence&zoom=left&layout=beginner'")
        page.settled(70)
        assert page.page.locator(".zoomed").count() == 1
        page.page.evaluate("location.hash = '#event=71&layout=expert'")
        page.page.wait_for_selector("html[data-ready=expert]")
        page.settled(71)
        assert page.complaints == []


@pytest.mark.parametrize("viewport", [{"width": 390, "height": 844}, {"width": 1280, "height": 800}])
def test_the_names_of_eight_hosts_can_be_read(browser, served, viewport):
    with Page(browser, f"{served.address}scenario/post/#layout=beginner", viewport=viewport) as page:
        page.page.wait_for_selector(".line-name")
        names = page.page.eval_on_selector_all(".line-name", "all => all.map(one => one.firstChild.textContent)")
        assert names == ["client", "gateway", "resolver", "root", "proxy", "login", "shop", "db"]
        boxes = page.page.eval_on_selector_all(
            ".line-name",
            "all => all.map(one => one.getBoundingClientRect()).map(box => [box.left, box.right, box.top, box.bottom])",
        )
        for i, (left, right, top, bottom) in enumerate(boxes):
            assert left >= 0 and right <= viewport["width"]
            # the boxes of two rows of text overlap by a little, where no letter is
            assert not any(left < b and a < right and top + 4 < d and c + 4 < bottom for a, b, c, d in boxes[:i])
