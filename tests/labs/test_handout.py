"""`pystack lab handout`: valid HTML that needs nothing else and gives nothing away, and a PDF that one can read, print and find one's way in."""

import base64
import io
import re
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from click.testing import CliRunner

from pystack.cli.main import cli
from pystack.labs import folders
from pystack.labs.folders import lab_of, labs
from pystack.labs.handout.markdown import html
from pystack.labs.handout.page import LANGUAGES, described, page
from pystack.labs.handout.pdf import pdf

pytest.importorskip("markdown_it")
parser = pytest.importorskip("tinyhtml5.parser")
pypdf = pytest.importorskip("pypdf")

AXE = Path(__file__).resolve().parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
EACH_LAB = pytest.mark.parametrize("lab", labs(), ids=lambda lab: lab.name)
POINTS = {"A4": (595.28, 841.89), "Letter": (612, 792)}


def command(*args):
    return CliRunner().invoke(cli, ["lab", "handout", *args], prog_name="pystack")


def parsed(text):
    """Parse HTML, and find no error."""
    found = parser.HTMLParser(namespace_html_elements=False)
    root = found.parse(io.StringIO(text))
    assert found.errors == []
    return root


def words(node):
    return " ".join("".join(node.itertext()).split())


def reader(data):
    return pypdf.PdfReader(io.BytesIO(data))


def pdf_words(data):
    return " ".join(" ".join(sheet.extract_text() for sheet in reader(data).pages).split())


def pictures(root):
    """Return the alternative text of each picture, with the picture, which is SVG inside the file."""
    found = []
    for image in root.iter("img"):
        kind, _, data = image.get("src").partition(",")
        assert kind == "data:image/svg+xml;base64"
        found.append((image.get("alt"), ET.fromstring(base64.b64decode(data))))
    return found


@EACH_LAB
def test_a_handout_before_the_lab_is_valid_and_gives_nothing_away(lab):
    root = parsed(page(lab))
    assert root.get("lang") == "en" and words(root.find("head/title")) == f"Lab {lab.number}: {lab.title}"
    headings = [node for node in root.iter() if node.tag in ("h1", "h2", "h3")]
    assert [node.tag for node in headings].count("h1") == 1
    levels = [int(node.tag[1]) for node in headings]
    assert all(later <= level + 1 for level, later in zip(levels, levels[1:]))
    assert [words(node) for node in headings][1:7] == [
        "Story",
        "Network",
        "Question",
        "What to predict",
        "Exercise",
        f"The file to begin with ({LANGUAGES[lab.suffix]})",
    ]
    ((alt, drawing),) = pictures(root)
    assert alt.startswith("Nodes: ") and drawing.get("viewBox")
    table = next(node for node in root.iter("table") if node.get("class") == "predictions")
    questions = [words(node) for node in table.iter("th") if node.get("scope") == "row"]
    assert questions == [" ".join(value.question.replace("`", "").split()) for value in every_value(lab)]
    assert {words(node) for node in table.iter("td")} <= {value.unit for value in every_value(lab)}
    assert not (root.findall(".//script") or root.findall(".//link"))
    text = words(root.find("body"))
    assert lab.hints()[2] not in text and "Explanation" not in text


def every_value(lab):
    return [*lab.values(), *(control.value for control in lab.module("experiment").CONTROLS)]


@EACH_LAB
def test_a_handout_with_solutions_has_them(lab, monkeypatch):
    monkeypatch.setattr("pystack.labs.looks.LabLook.svg", lambda look: '<svg xmlns="http://www.w3.org/2000/svg"/>')
    root = parsed(page(lab, solutions=True))
    text = words(root.find("body"))
    for value in every_value(lab):
        assert " ".join(value.formula.split()) in text and value.text(value.expected) in text
    assert words(ET.fromstring(f"<p>{html(lab.hints()[2])}</p>")) in text
    code = [words(node) for node in root.iter("code")]
    assert " ".join(lab.solution.read_text().split()) in code and " ".join(lab.starter.read_text().split()) in code
    shown = [look for look in lab.looks() if not look.missing()]
    assert len(pictures(root)) == 1 + len(shown)


def test_the_plots_are_inside():
    found = pictures(parsed(page(lab_of("17"), solutions=True)))
    assert len(found) == 3
    alt, plot = found[1]
    assert alt.startswith(
        "Two writes: the second one waits for an acknowledgement. the frames"
    ) and "40 ms later" in words(plot)


@pytest.mark.parametrize("paper", ["A4", "Letter"])
def test_a_pdf_has_text_title_language_bookmarks_and_page_numbers(paper, tmp_path):
    path = tmp_path / "nagle.pdf"
    assert command("17", "--solutions", "--paper", paper, "-o", str(path)).output == f"wrote {path}\n"
    found = reader(path.read_bytes())
    assert found.metadata.title == "Lab 17: Nagle's algorithm against delayed acknowledgements (with solutions)"
    assert found.trailer["/Root"]["/Lang"] == "en" and found.trailer["/Root"]["/MarkInfo"]["/Marked"]
    (top, under) = found.outline
    assert top.title.startswith("Lab 17: ") and "Explanation" in [
        one.title for one in under if not isinstance(one, list)
    ]
    width, height = POINTS[paper]
    for number, sheet in enumerate(found.pages, 1):
        assert (float(sheet.mediabox.width), float(sheet.mediabox.height)) == (
            pytest.approx(width, abs=0.1),
            pytest.approx(height, abs=0.1),
        )
        assert f"{number} / {len(found.pages)}" in " ".join(sheet.extract_text().split())
    text = pdf_words(path.read_bytes())
    assert (
        "2 R + D 60 ms" in text
        and "There are three ways out." in text
        and "def send_request(client, header, body):" in text
    )
    assert "40 ms later" in text  # the plot's words are words, and no picture of them


def test_tables_and_drawings_are_on_one_page():
    """A handout in which a table and a plot would begin at each height of the page."""
    text = page(lab_of("17"), True, "A4")
    for lines in range(0, 40, 6):
        pushed = text.replace("<h2>Story</h2>", "<h2>Story</h2>" + "<p>filler</p>" * lines)
        sheets = [" ".join(sheet.extract_text().split()) for sheet in reader(pdf(pushed)).pages]
        (table,) = [sheet for sheet in sheets if "Two writes, Nagle on: how long" in sheet]
        assert "Two writes, Nagle on 2 R 20 ms" in table and "The values and what the formulas give" in table
        (plot,) = [sheet for sheet in sheets if "1 [S] seq 41078893" in sheet and "frames 1-12 of 123" in sheet]
        assert "12 [P.] seq 401:501" in plot
    text = text.replace("break-inside: avoid", "break-inside: auto")  # the control
    for lines in range(0, 40, 6):
        pushed = text.replace("<h2>Story</h2>", "<h2>Story</h2>" + "<p>filler</p>" * lines)
        sheets = [" ".join(sheet.extract_text().split()) for sheet in reader(pdf(pushed)).pages]
        if not any(
            "Two writes, Nagle on: how long" in sheet and "Two writes, Nagle on 2 R 20 ms" in sheet for sheet in sheets
        ):
            break  # a table is cut
    else:
        pytest.fail("no table is cut, wherever it begins")


def test_markdown_of_a_page_is_text_and_its_links_make_sense():
    assert html("<script>alert(1)</script> <b>") == "<p>&lt;script&gt;alert(1)&lt;/script&gt; &lt;b&gt;</p>\n"
    assert html("[RFC](https://example.test/a?b&c)") == '<p><a href="https://example.test/a?b&amp;c">RFC</a></p>\n'
    lab = html("[lab *17*](../lab_17_nagle/page.md), [x](../../docs/howto/labs.md#a) and [y](#z)")
    assert (
        lab
        == "<p>lab <em>17</em> (<code>pystack lab show 17</code>), x (<code>docs/howto/labs.md#a</code>) and y</p>\n"
    )
    assert "javascript" not in re.sub(r"\[.*?\)", "", html("[x](javascript:alert(1)) "))
    assert "<img" not in html("![x](https://example.test/x.png)") and '<th scope="col">' in html("|a|\n|-|\n|b|")


def test_a_network_is_described_in_words():
    assert described(lab_of("17").network()) == (
        "Nodes: host a with 10.0.0.1/24; host b with 10.0.0.2/24. Links: a to b (delay 5ms)."
    )


def test_files_are_named_after_the_lab(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    some = tuple(lab for lab in labs() if lab.number in (12, 17))
    monkeypatch.setattr(folders, "labs", lambda: some)
    done = command("all")
    assert done.exit_code == 0, done.output
    assert command("17", "--pdf", "-o", "out").exit_code == command("12", "--solutions", "-o", "out").exit_code == 0
    assert sorted(str(path) for path in Path().rglob("*.*")) == [
        "lab_12_slow_start.html", "lab_17_nagle.html", "out/lab_12_slow_start_solutions.html", "out/lab_17_nagle.pdf",
    ]  # fmt: skip
    assert reader(Path("out/lab_17_nagle.pdf").read_bytes()).pages[0].mediabox.width == pytest.approx(
        POINTS["A4"][0], abs=0.1
    )
    assert "@page { margin" in Path("lab_17_nagle.html").read_text()  # the printer's paper


@pytest.mark.parametrize(
    ("args", "status", "says"),
    [
        (["all", "-o", "x.pdf"], 2, "all handouts need a folder"),
        (["17", "--pdf", "-o", "x.html"], 2, "--pdf writes a PDF, but x.html ends with .html"),
        (["17", "-o", "lab.docx"], 2, "lab.docx: the file's name must end in .html or .pdf"),
        (["17", "-o", "lab.PDF"], 2, "lab.PDF: the file's name must end in .html or .pdf"),
        (["99"], 1, "there is no lab '99'"),
    ],
)
def test_what_cannot_be_is_refused(args, status, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = command(*args)
    assert done.exit_code == status and says in done.output and not list(tmp_path.iterdir())


def test_a_missing_package_is_named(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "weasyprint", None)
    done = command("17", "--pdf")
    assert done.exit_code == 1 and "pip install 'pystack[handout]'" in done.output and not list(tmp_path.iterdir())


def test_a_browser_numbers_the_pages_and_axe_finds_nothing_serious():
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium")
    if chromium is None or not AXE.exists():
        pytest.skip("chromium or axe-core is not installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        found = browser.new_context(bypass_csp=True, viewport={"width": 390, "height": 844}).new_page()
        asked = []
        found.on("request", lambda request: asked.append(request.url))
        for text in (page(lab_of("17"), True), page(lab_of("39"))):
            found.set_content(text)
            found.add_script_tag(path=str(AXE))
            problems = found.evaluate("axe.run({ resultTypes: ['violations'] }).then(found => found.violations)")
            assert [(one["id"], one["impact"]) for one in problems] == []
            assert found.evaluate("document.documentElement.scrollWidth <= innerWidth")
            sheets = [sheet.extract_text() for sheet in reader(found.pdf(format="Letter")).pages]
            assert all(f"{number} / {len(sheets)}" in sheet for number, sheet in enumerate(sheets, 1))
        assert [url for url in asked if not url.startswith("data:")] == []
        found.evaluate("document.querySelector('main').append(document.createElement('button'))")  # the control
        problems = found.evaluate("axe.run({ resultTypes: ['violations'] }).then(found => found.violations)")
        assert "button-name" in [one["id"] for one in problems]
        browser.close()
