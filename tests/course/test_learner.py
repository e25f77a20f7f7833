"""The course in Chromium, worked through as a learner does: predict, run, compare, look inside, do the exercise, and be checked."""

from pathlib import Path

import pytest

from pystack.labs.folders import lab_of
from pystack.labs.grading import grade
from pystack.trace.pcapng import PcapngReader
from tests.stepper.web.page import Page
from tests.stepper.web.served import ROOT, commanding

AXE = ROOT / "web" / "node_modules" / "axe-core" / "axe.min.js"
LAPTOP, PHONE = {"width": 1366, "height": 768}, {"width": 375, "height": 720}
#: the labs of the story, and a wrong answer of each
FIVE = {3: 0, 4: 1, 9: 2, 17: 0, 18: 1}
READY = ".course-body h1"


@pytest.fixture
def state(tmp_path):
    return tmp_path / "state"


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A server for tests that save nothing."""
    with commanding("course", XDG_STATE_HOME=str(tmp_path_factory.mktemp("state"))) as server:
        yield server


@pytest.fixture
def served(state):
    with commanding("course", XDG_STATE_HOME=str(state)) as server:
        yield server


class CoursePage(Page):
    """The page of the course."""

    def __init__(self, browser, address, **context):
        super().__init__(browser, address, ready=READY, **context)

    def at(self, place):
        """Wait until the list, or the page of a lab, is there."""
        self.until("place => document.documentElement.dataset.ready === place", str(place))

    def open(self, lab):
        self.page.evaluate("lab => { location.hash = `lab=${lab}`; }", lab)
        self.at(lab)

    @property
    def editor(self):
        return self.page.evaluate("window.course.view.exercise.editor.text")

    def write(self, text):
        """Replace the text in the editor, as somebody who pastes."""
        self.page.click(".cm-content")
        self.page.keyboard.press("Control+a")
        self.page.keyboard.insert_text(text)
        assert self.editor == text

    def check(self):
        """Press Check. Returns the verdict, and its text."""
        self.page.click("#check")
        self.until(
            "() => document.querySelector('#grade').dataset.verdict && !document.querySelector('#check').disabled"
        )
        return self.page.get_attribute("#grade", "data-verdict"), self.page.inner_text("#grade")

    def run(self):
        self.page.click("#run")
        self.until(
            "() => !document.querySelector('#run').disabled && document.querySelector('#verdict').textContent !== ''"
        )
        return self.text("#verdict")

    def states(self):
        """What the list says about each lab."""
        return {
            int(lab): state
            for lab, state in self.page.eval_on_selector_all(
                ".labs li",
                "rows => rows.map(row => [row.querySelector('a').dataset.lab, row.querySelector('.state').dataset.state])",
            )
        }


def said(text):
    """A text without the marks of Markdown, as the page shows it."""
    return text.replace("`", "")


def work_through(page, number, wrong):
    """Do one lab, from its page to the solved exercise."""
    lab = lab_of(str(number))
    values, results = lab.values(), lab.measure()
    page.at(number)
    assert page.text("h1") == f"Lab {number}: {lab.title}"
    assert page.page.locator("#explanation").count() == 0  # it comes after the run
    # the first prediction is right, the second one wrong
    right = values[0].text(values[0].expected).removesuffix(values[0].unit).strip()
    page.page.fill("#value-0", right)
    page.page.fill("#value-1", values[1].example().replace("25", "987654"))
    verdict = page.run()
    assert verdict == "1 of your 2 predictions are right. Every measured value is what its formula says."
    rows = page.page.locator("#compare table").first.locator("tbody tr")
    assert rows.count() == len(results)
    for index, result in enumerate(results):
        cells = rows.nth(index).locator("th, td").all_inner_texts()
        assert cells[0] == result.value.question
        assert cells[2].endswith(result.value.text(result.measured)) and result.value.formula in cells[3]
        assert ("✓ right" in cells[1], "✗ not so" in cells[1]) == (index == 0, index == 1)
        assert "✓ as the formula says" in cells[4]
    assert "Explanation" in page.text("#explanation")
    # the exercise: as it is, with a mistake, with a hint, and then right
    verdict, text = page.check()
    assert verdict == "wrong" and "Not right yet" in text
    file, hint = list(lab.wrong().items())[wrong]
    path = lab.path / file
    page.write(path.read_text())
    verdict, text = page.check()
    assert verdict == "wrong" and said(hint) in text
    assert said(grade(lab, path).text) in text
    page.page.click("#hint")
    page.until("() => document.querySelectorAll('#hints li').length === 1")
    assert page.text("#hints li") == said(lab.hints()[0]) and page.text("#hint") == "Hint 2 of 3"
    page.page.click("#show-solution")
    page.page.click("#dialog-no")
    assert page.page.locator("#solution pre").count() == 0
    page.page.click("#show-solution")
    page.page.click("#dialog-yes")
    page.page.click("#use-solution")
    assert page.editor == lab.solution.read_text()
    verdict, text = page.check()
    assert verdict == "right" and "Right" in text
    page.until("() => document.querySelector('.facts [data-state]').dataset.state === 'solved'")
    assert page.text(".facts [data-state]").endswith("solved")


@pytest.mark.timeout(300)
def test_five_labs_as_a_learner_works_through_them(browser, served, state):
    with CoursePage(browser, served.address) as page:
        page.at("list")
        assert set(page.states().values()) == {"open"} and page.text("#go-on") == "Begin with lab 1"
        for number, wrong in FIVE.items():
            page.page.click(f"[data-lab='{number}'] >> nth=0")
            work_through(page, number, wrong)
            page.page.click("nav a >> nth=0")
            page.at("list")
            assert page.states()[number] == "solved"
        assert {lab for lab, found in page.states().items() if found == "solved"} == set(FIVE)
        assert page.complaints == []
        assert [url for url in page.requests if not url.startswith((served.address, "data:"))] == []
    saved = state / "pystack" / "exercises" / "lab_17_nagle.py"
    assert saved.read_text() == lab_of("17").solution.read_text()


def test_a_lab_with_the_keyboard_alone(browser, shared):
    """Tab reaches everything, the focus is visible, and Escape leads out of the editor."""
    with CoursePage(browser, shared.address + "#lab=17") as page:
        page.at(17)
        reached = []
        for _ in range(60):
            page.page.keyboard.press("Tab")
            if page.page.evaluate("document.activeElement.classList.contains('cm-content')"):
                page.page.keyboard.press("Escape")
            page.until(  # the editor shows its focus a moment later
                "() => { const one = document.activeElement;"
                " return getComputedStyle(one.closest('.cm-editor') ?? one).outlineStyle !== 'none'; }"
            )
            place = page.page.evaluate(
                "() => { const one = document.activeElement; return one.id || one.className || one.textContent; }"
            )
            reached.append(place)
            if place == "next-lab":
                break
        for wanted in ("value-0", "value-5", "run", "check", "hint", "show-solution", "reset", "next-lab", "plots"):
            assert wanted in reached, reached
        assert any("cm-content" in place for place in reached)
        page.page.focus("#value-0")
        page.page.keyboard.type("60")
        page.page.keyboard.press("Enter")
        page.until("() => document.querySelector('#verdict').textContent.includes('1 of your 1')")
        page.page.focus(".cm-content")
        page.page.keyboard.press("Control+Enter")
        page.until("() => document.querySelector('#grade').dataset.verdict === 'wrong'")
        # the dialog: Escape is no, and the focus comes back
        page.page.focus("#show-solution")
        page.page.keyboard.press("Enter")
        page.page.wait_for_selector("dialog[open]")
        page.page.keyboard.press("Escape")
        page.until("() => !document.querySelector('dialog')")
        assert page.page.evaluate("document.activeElement.id") == "show-solution"
        # the next page begins at its heading
        page.page.focus("#next-lab")
        page.page.keyboard.press("Enter")
        page.at(18)
        assert page.page.evaluate("document.activeElement.textContent").startswith("Lab 18")
        assert page.complaints == []


def test_what_is_announced(browser, shared):
    """The verdicts are in live regions, and say in words what the colours say."""
    with CoursePage(browser, shared.address + "#lab=17") as page:
        page.at(17)
        for selector in ("#verdict", "#grade"):
            assert page.page.get_attribute(selector, "aria-live") == "polite"
        page.page.fill("#value-0", "long")
        assert page.run() == "A prediction cannot be read. Nothing was run."
        assert page.text("#value-0-problem") == "'long' is not a number: write for example 25"
        assert page.page.get_attribute("#value-0", "aria-invalid") == "true"
        assert page.page.evaluate("document.activeElement.id") == "value-0"
        page.page.fill("#value-0", "59")
        assert page.run().startswith("0 of your 1 prediction is right.")
        assert page.page.get_attribute("#value-0", "aria-invalid") == "false"


# -- nothing is lost -----------------------------------------------------------------------------------------------------


def test_a_reload_loses_nothing(browser, served):
    with CoursePage(browser, served.address + "#lab=17") as page:
        page.at(17)
        page.page.fill("#value-0", "42")
        page.write("# mine\n")
        page.page.reload()  # at once, before the pause after which it saves
        page.page.wait_for_selector(READY)
        page.at(17)
        assert page.editor == "# mine\n"
        assert page.page.input_value("#value-0") == "42"
        page.write("# mine, longer\n")
        page.page.click("nav a >> nth=0")
        page.at("list")
        assert page.states()[17] == "started"
        page.open(17)
        assert page.editor == "# mine, longer\n"


def test_two_tabs_keep_both_texts(browser, served, state):
    path = state / "pystack" / "exercises" / "lab_17_nagle.py"
    with CoursePage(browser, served.address + "#lab=17") as one, CoursePage(browser, served.address + "#lab=17") as two:
        one.at(17), two.at(17)
        one.write("# one\n")
        one.until("() => document.querySelector('#saved').textContent.startsWith('saved in')")
        two.write("# two\n")
        two.page.wait_for_selector("#keep-mine")
        assert path.read_text() == "# one\n" and "Nothing was overwritten" in two.text("#conflict")
        two.page.click("#keep-mine")
        two.until("() => document.querySelector('#saved').textContent.startsWith('saved in')")
        assert path.read_text() == "# two\n"
        one.write("# one again\n")
        one.page.wait_for_selector("#take-other")
        one.page.click("#take-other")
        assert one.editor == "# two\n" and path.read_text() == "# two\n"
        one.page.keyboard.press("Control+z")
        assert one.editor == "# one again\n"
        one.until("() => document.querySelector('#saved').textContent.startsWith('saved in')")
        assert path.read_text() == "# one again\n"


def test_the_explanation_comes_after_the_run_also_if_the_exercise_was_begun(browser, served):
    with CoursePage(browser, served.address + "#lab=17") as page:
        page.at(17)
        page.write("# mine\n")
        page.until("() => document.querySelector('#saved').textContent.startsWith('saved in')")
        page.page.reload()
        page.at(17)
        assert page.page.locator("#explanation").count() == 0
        page.run()
        page.page.reload()
        page.at(17)
        assert "Explanation" in page.text("#explanation")


def test_a_text_that_is_not_saved_is_there_when_the_learner_comes_back(browser, served, state):
    """Two tabs have two texts. In one of them, the learner leaves the lab, or presses "Begin again", before saying which one shall stay."""
    path = state / "pystack" / "exercises" / "lab_17_nagle.py"
    with CoursePage(browser, served.address + "#lab=17") as one, CoursePage(browser, served.address + "#lab=17") as two:
        one.at(17), two.at(17)
        one.write("# one\n")
        one.until("() => document.querySelector('#saved').textContent.startsWith('saved in')")
        two.write("# two\n")
        two.page.wait_for_selector("#keep-mine")
        two.page.click("#reset")
        two.until("() => document.querySelector('#saved').textContent.includes('first choose')")
        assert two.editor == "# two\n"
        two.open(9)
        two.open(17)
        assert two.editor == "# two\n"
        two.page.wait_for_selector("#keep-mine")
        asked = []
        two.page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
        two.page.reload()
        two.at(17)
        assert asked == ["beforeunload"] and two.editor == "# two\n" and path.read_text() == "# one\n"
        two.page.click("#keep-mine")
        two.until("() => document.querySelector('#saved').textContent.startsWith('saved in')")
        assert path.read_text() == "# two\n"
        two.page.reload()
        two.at(17)
        assert asked == ["beforeunload"] and two.editor == "# two\n" and two.page.locator("#keep-mine").count() == 0


def test_a_text_that_an_editor_saves_appears(browser, served, state):
    with CoursePage(browser, served.address + "#lab=17") as page:
        page.at(17)
        page.write("# mine\n")
        page.until("() => document.querySelector('#saved').textContent.startsWith('saved in')")
        Path(state / "pystack" / "exercises" / "lab_17_nagle.py").write_text("# from vi\n")
        page.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        page.until("() => window.course.view.exercise.editor.text === '# from vi\\n'")
        assert "another page or editor" in page.text("#saved")


def test_begin_again(browser, served, state):
    with CoursePage(browser, served.address + "#lab=17") as page:
        page.at(17)
        page.write("# mine\n")
        page.page.click("#hint")
        page.until("() => document.querySelectorAll('#hints li').length === 1")
        page.page.click("#reset")
        page.page.click("#dialog-yes")
        page.until("() => document.querySelectorAll('#hints li').length === 0")
        assert page.editor == lab_of("17").starter.read_text()
        assert (state / "pystack" / "exercises" / "lab_17_nagle.py~").read_text() == "# mine\n"
        page.until("() => document.querySelector('.facts [data-state]').dataset.state === 'open'")


# -- stop, look inside ---------------------------------------------------------------------------------------------------


def test_stop(browser, served):
    with CoursePage(browser, served.address + "#lab=17") as page:
        page.at(17)
        page.write("import time\ntime.sleep(1000)\n")
        page.page.click("#check")
        page.page.click("#stop-check")
        page.until("() => document.querySelector('#grade').textContent === 'You stopped the check.'")
        page.write(lab_of("17").solution.read_text())
        assert page.check()[0] == "right"


def test_the_stepper_in_the_page_begins_at_the_key_moment(browser, shared):
    with CoursePage(browser, shared.address + "#lab=17") as page:
        page.at(17)
        page.page.click("[data-step='17.1']")
        frame = page.page.frame_locator("iframe.stepper")
        frame.locator(".facts").wait_for()
        assert frame.locator("#layout-beginner").get_attribute("aria-pressed") == "true"
        inner = page.page.frames[1]
        assert inner.evaluate("window.stepper.store.position") == lab_of("17").looks()[0].open()[1].position > 0
        frame.locator("#lesson-next").click()
        # its script runs as if from another site
        assert inner.evaluate("self.origin") == "null"
        assert page.complaints == []


def test_plots(browser, shared):
    pytest.importorskip("matplotlib")
    with CoursePage(browser, shared.address + "#lab=17") as page:
        page.at(17)
        page.page.click("#plots")
        page.until("() => document.querySelectorAll('.plot').length === 3")
        page.until("() => [...document.querySelectorAll('.plot')].every((one) => one.naturalWidth > 100)")
        assert "waterfall" in page.text("figure:nth-of-type(2) figcaption")
        page.open(37)
        assert page.page.locator("#plots").count() == 0 and "nothing of its own" in page.text("#look")


def test_a_capture_is_saved(browser, shared, tmp_path):
    with CoursePage(browser, shared.address + "#lab=27") as page:
        page.at(27)
        with page.page.expect_download() as download:
            page.page.click("#capture")
        assert download.value.suggested_filename == "lab_27_wireshark_udp.pcapng"
        download.value.save_as(tmp_path / "x.pcapng")
        with open(tmp_path / "x.pcapng", "rb") as file:
            assert len(list(PcapngReader(file))) > 20
        assert "tshark -r lab_27_wireshark_udp.pcapng" in page.text("#look .shown")
        page.open(37)
        assert page.page.locator("#capture").count() == 0 and page.complaints == []


def test_other_languages(browser, shared):
    with CoursePage(browser, shared.address + "#lab=39") as page:
        page.at(39)
        assert page.text(".file b") == "lab_39_c_server.c"
        assert page.page.get_attribute(".cm-content", "data-language") == "cpp"
        page.open(40)
        assert page.page.get_attribute(".cm-content", "data-language") == "javascript"


# -- how it looks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [LAPTOP, PHONE], ids=["laptop", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser, served, scheme, size):
    if not AXE.exists():
        pytest.skip("the package axe-core is not installed (npm is missing)")
    # the page's policy forbids other scripts, such as axe
    with CoursePage(browser, served.address, bypass_csp=True, color_scheme=scheme, viewport=size) as page:

        def serious():
            page.page.wait_for_timeout(100)
            found = page.page.evaluate("axe.run({ resultTypes: ['violations'] })")
            return [
                (one["id"], one["impact"], [node["html"][:160] for node in one["nodes"][:4]])
                for one in found["violations"]
                if one["impact"] in ("serious", "critical")
            ]

        page.page.add_script_tag(path=str(AXE))
        assert serious() == []
        for lab in (17, 9, 39):
            page.open(lab)
            assert serious() == []
        page.open(17)
        page.page.fill("#value-0", "1")
        page.page.fill("#value-1", "x")
        page.run()
        assert serious() == []
        page.page.fill("#value-1", "10")
        page.run()
        assert page.check()[0] == "wrong"
        page.page.click("#hint")
        page.page.click("#show-solution")
        page.page.wait_for_selector("dialog[open]")
        assert serious() == []
        page.page.click("#dialog-yes")
        page.page.wait_for_selector("#use-solution")
        assert serious() == []
        # the control: axe does find what is wrong
        page.page.evaluate("document.querySelector('main').append(document.createElement('button'))")
        assert "button-name" in [one[0] for one in serious()]


@pytest.mark.parametrize("lab", [5, 24, 39])
def test_a_phone_scrolls_in_one_direction(browser, shared, lab):
    with CoursePage(browser, shared.address, viewport=PHONE, has_touch=True, is_mobile=True) as page:
        width = "[document.documentElement.scrollWidth, document.documentElement.clientWidth, innerWidth]"
        assert page.page.evaluate(width) == [375, 375, 375]
        page.open(lab)
        page.run()
        page.check()
        assert page.page.evaluate(width) == [375, 375, 375]
        for button in ("#run", "#check", "#hint"):
            assert page.page.locator(button).bounding_box()["height"] >= 36
        # the network is large enough to be read, and is moved inside its frame
        assert page.page.evaluate(
            "(([image]) => image.width === image.naturalWidth)(document.querySelectorAll('.drawing img'))"
        )
        page.open(36)
        page.page.focus(".drawing")
        page.page.keyboard.press("ArrowRight")
        page.until("() => document.querySelector('.drawing').scrollLeft > 0")
        assert page.page.evaluate(width) == [375, 375, 375]
