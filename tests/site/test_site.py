"""The static site in Chromium (Debian's), as a learner uses it: no server but a file server, and then none at all."""

import time

import pytest

from pystack.labs.folders import lab_of
from tests.site.conftest import serving

#: The machine of the tests may have other work. Waiting ends with an error after so many seconds.
PATIENCE = 150
LAB = 17
LABS = (LAB, 7, 24)


class SitePage:
    """A page of the site, and all that it requested and complained about."""

    def __init__(self, browser, address):
        self.address = address
        self.context = browser.new_context(viewport={"width": 1366, "height": 768})
        self.context.set_default_timeout(PATIENCE * 1000)
        self.page = self.context.new_page()
        self.requests, self.complaints = [], []
        self.context.on("request", lambda request: self.requests.append(request.url))
        self.page.on(
            "console",
            lambda message: self.complaints.append(message.text) if message.type in ("error", "warning") else None,
        )
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def until(self, script, argument=None, frame=None):
        """Wait until a function returns true. (Playwright's own waiting needs eval, which the page's policy forbids.)"""
        deadline = time.monotonic() + PATIENCE
        while not (frame or self.page).evaluate(script, argument):
            assert time.monotonic() < deadline, f"not so after {PATIENCE} s: {script} {argument} {self.complaints}"
            time.sleep(0.1)

    def open(self, lab):
        self.page.evaluate("lab => { location.hash = `lab=${lab}` }", lab)
        self.until("lab => document.documentElement.dataset.ready === String(lab)", lab)

    def run(self):
        """Run the lab that is open. Returns what was measured."""
        self.page.click("#run")
        self.until("() => document.querySelector('#verdict').textContent !== ''")
        assert "Every measured value is what its formula says" in self.page.inner_text("#verdict")
        return self.page.eval_on_selector_all("#compare tbody tr", "rows => rows.map(row => row.textContent)")

    def write(self, text):
        self.page.evaluate("text => { course.view.exercise.editor.text = text }", text)

    def check(self):
        """Check the exercise. Returns the verdict and what is said about it."""
        self.begin_check()
        return self.grade()

    def begin_check(self):
        self.page.evaluate("() => { document.querySelector('#grade').textContent = '' }")
        self.page.click("#check")

    def grade(self):
        self.until("() => !['', 'Checking …'].includes(document.querySelector('#grade').textContent)")
        return self.page.inner_text("#grade")


@pytest.fixture(scope="module")
def learner(site, lonely_browser):
    with serving(site.parents[1]) as port:
        page = SitePage(lonely_browser, f"http://127.0.0.1:{port}/some/course/")
        page.page.goto(page.address)
        page.until("() => document.documentElement.dataset.ready === 'list'")
        yield page
        page.context.close()


def answers(lab):
    """Return the starter, the solution, and the wrong answers with their hints."""
    folder = lab_of(str(lab))
    wrong = {(folder.path / file).read_text(): hint for file, hint in folder.wrong().items()}
    return folder.starter.read_text(), folder.solution.read_text(), wrong


@pytest.mark.timeout(900)
def test_a_learner_works_without_a_server_behind_the_page(learner):
    # the list, with what cannot run here
    text = learner.page.inner_text("#content")
    assert "Nagle" in text and "a browser cannot start programs" in text
    # three labs: one with an asynchronous program, too
    for lab in LABS:
        learner.open(lab)
        assert len(learner.run()) >= len(lab_of(str(lab)).values())
    # an exercise, wrong and then right
    learner.open(LAB)
    _, solution, wrong = answers(LAB)
    text, hint = next(iter(wrong.items()))
    learner.write(text)
    assert hint in learner.check()
    learner.write(solution)
    assert "Right" in learner.check()
    learner.until("() => document.querySelector('.facts').textContent.includes('solved')")


@pytest.mark.timeout(600)
def test_a_grader_may_import_a_library_while_it_grades(learner):
    """dnspython loads a module for each type of record when it reads the first one. The learner's file was refused for that."""
    learner.open(14)
    _, solution, wrong = answers(14)
    learner.write(solution)
    assert "Right" in learner.check()
    text, hint = next(iter(wrong.items()))
    learner.write(text)
    assert hint in learner.check()


@pytest.mark.timeout(600)
def test_a_step_back_in_the_stepper(learner):
    learner.open(LAB)
    learner.page.click("#look [data-step]")
    learner.page.wait_for_selector("#look iframe")
    frame = learner.page.frames[-1]
    frame.wait_for_selector(".facts")
    frame.click(".facts")  # then the keys are for the frame
    start = frame.evaluate("window.stepper.store.position")
    for offset, key in ((1, "ArrowRight"), (2, "ArrowRight"), (1, "ArrowLeft")):
        frame.press("body", key)
        learner.until("at => window.stepper.store.position === at", start + offset, frame)
    # the frame has no address, so another layout must not need one; the place stays, and no link to it is shown
    frame.click("#layout-expert")
    learner.until("() => document.documentElement.dataset.ready === 'expert'", frame=frame)
    assert frame.evaluate("window.stepper.store.position") == start + 1
    frame.click("#link")
    links = frame.eval_on_selector_all("#link-box input", "inputs => inputs.map(one => one.value)")
    assert [link.split()[0] for link in links] == ["pystack"]
    # the frame is another site for its script, and it can reach nothing
    assert (
        frame.evaluate("() => { try { return String(parent.document) } catch (error) { return error.name } }")
        == "SecurityError"
    )


@pytest.mark.timeout(600)
def test_a_capture_is_saved(learner, tmp_path):
    learner.open(LAB)
    with learner.page.expect_download(timeout=120_000) as download:
        learner.page.click("#capture")
    download.value.save_as(tmp_path / "site.pcapng")
    lab_of(str(LAB)).write(tmp_path / "here.pcapng")
    assert (tmp_path / "site.pcapng").read_bytes() == (tmp_path / "here.pcapng").read_bytes()


@pytest.mark.timeout(600)
def test_hostile_files_are_stopped(learner):
    learner.open(LAB)
    for text, words in {
        "import js\njs.postMessage('right')": "use the page's JavaScript",
        "open('/learner/labs.json').read()": "open '/learner/labs.json'",
        "import socket\nsocket.socket()": "use a socket of this machine",
        "x = bytearray(1 << 30)": "needs too much memory",
        "while True:\n    print('x' * 1000)": "prints too much",
        "1 / 0": "raised ZeroDivisionError in line 1",
    }.items():
        learner.write(text)
        assert words in learner.check(), text
    # a loop that a learner stops: the text stays, and the next check works
    learner.write("while True:\n    pass")
    learner.begin_check()
    learner.until("() => course.view.exercise.job !== null")
    learner.page.click("#stop-check")
    assert "You stopped the check." in learner.grade()
    assert learner.page.evaluate("course.view.exercise.editor.text") == "while True:\n    pass"
    # and one that the time limit stops: the page's clock is moved on
    learner.page.clock.install()
    learner.begin_check()
    deadline = time.monotonic() + PATIENCE
    while learner.page.inner_text("#grade") in ("", "Checking …"):
        assert time.monotonic() < deadline
        learner.page.clock.fast_forward(10_000)
        time.sleep(0.5)
    assert "The grader stopped your file after 60 seconds." in learner.page.inner_text("#grade")


@pytest.mark.timeout(900)
def test_without_a_network_and_without_a_server(site, lonely_browser):
    with serving(site.parents[1]) as port:
        page = SitePage(lonely_browser, f"http://127.0.0.1:{port}/some/course/")
        page.page.goto(page.address)
        page.open(LAB)
        page.write("# mine\n")
        page.until("() => document.querySelector('#saved').textContent.startsWith('saved')")
        page.until("() => document.documentElement.dataset.offline === 'true'")
        assert "works without a network" in page.page.inner_text("#site-status")
    page.requests.clear()
    page.page.reload()
    page.until("lab => document.documentElement.dataset.ready === String(lab)", LAB)
    assert page.page.evaluate("course.view.exercise.editor.text") == "# mine\n"
    page.run()
    page.open(24)  # its packages were not needed before
    page.run()
    assert all(url.startswith((page.address, "data:", "blob:")) for url in page.requests)
    assert not page.complaints
    page.context.close()


def test_nothing_is_asked_from_elsewhere(learner):
    assert len(learner.requests) > 10
    assert [url for url in learner.requests if not url.startswith((learner.address, "data:", "blob:"))] == []
    assert learner.complaints == []
