"""The documentation agrees with the code: the links, files, settings, commands and functions that a page names exist."""

import ast
import importlib
import importlib.util
import json
import os
import re
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from pystack.cli.main import COMMANDS, cli
from pystack.demo import checks
from pystack_c.config import FIELDS
from tests.support.patience import PATIENCE, until
from tools import against_linux, cli_docs, conformance, networks_page

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = [
    *(path.relative_to(ROOT).as_posix() for path in sorted(DOCS.rglob("*.md"))),
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "vagrant/README.md",
]
EACH_PAGE = pytest.mark.parametrize("path", PAGES)


def links(path: str) -> list[tuple[str, str]]:
    """The relative links of a page: (file, heading), each may be empty."""
    found = re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)", (ROOT / path).read_text())
    return [(target, heading) for target, heading in found if not target.startswith(("http:", "https:"))]


def headings(text: str) -> list[str]:
    """The names by which a page's headings can be linked to, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", text, re.M)
    return [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles]


def wrong_links(path: str) -> list[str]:
    """The links of a page that lead nowhere."""
    wrong = []
    for target, heading in links(path):
        there = (ROOT / path).parent / target if target else ROOT / path
        if not there.exists() or (heading and heading not in headings(there.read_text())):
            wrong.append(f"{target}#{heading}" if heading else target)
    return wrong


def code(text: str) -> list[str]:
    """The code of a page: what stands between backticks, and the lines of its blocks, without their comments."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.M | re.S)
    rest = re.sub(r"^```\w*\n.*?^```", "", text, flags=re.M | re.S)
    lines = [line for block in blocks for line in block.splitlines()]
    lines += re.findall(r"^    (.*)$", rest, re.M)
    spans = [span.replace("\n", " ") for span in re.findall(r"(?<!`)`([^`]+)`(?!`)", rest)]
    return [re.sub(r"(^|\s)#( .*)?$", "", line) for line in [*spans, *lines]]


@cache
def defined() -> frozenset[str]:
    """The names of all functions, classes and attributes of both packages."""
    names = set()
    for package in ("pystack_c", "pystack"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
                    names.add(node.name)
                elif isinstance(node, ast.Attribute):
                    names.add(node.attr)
            names.add(path.stem)
    return frozenset(names)


#: words of the old dialect, which CONTRIBUTING.md names beside what to write instead
DIALECT = re.compile(
    r"\btells of\b|\b(?:is|are|was|be) told\b|\bsent again\b|\bbelieved\b|^(?:Who|What) [^?\n]*$", re.M
)
PROSE = [path for path in PAGES if not path.startswith("docs/reference/") and path != "CONTRIBUTING.md"]


@pytest.mark.parametrize("path", PROSE)
def test_the_pages_are_in_the_style_of_the_guide(path):
    text = re.sub(r"<!-- scenarios -->.*?<!-- end -->", "", (ROOT / path).read_text(), flags=re.S)
    assert DIALECT.findall(text) == []


def test_control_the_dialect_is_noticed():
    page = "Who closes first must wait.\nA probe is told of it, and the segment is sent again.\nWho is there?\n"
    assert DIALECT.findall(page) == ["Who closes first must wait.", "is told", "sent again"]


def test_every_page_is_linked_from_the_index():
    linked = {(DOCS / target).resolve() for target, _ in links("docs/index.md")}
    missing = [path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md") if path.resolve() not in linked]
    assert missing == ["index.md"]


@EACH_PAGE
def test_links_lead_somewhere(path):
    assert wrong_links(path) == []


def test_every_picture_is_on_a_page():
    shown = {((ROOT / path).parent / target).resolve() for path in PAGES for target, _ in links(path)}
    pictures = [path for path in (DOCS / "images").iterdir() if path.resolve() not in shown]
    assert pictures == []


def test_control_a_wrong_link_and_a_wrong_heading_are_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    (tmp_path / "b.md").write_text("# One heading\n")
    (tmp_path / "a.md").write_text("[1](b.md) [2](c.md) [3](b.md#one-heading) [4](b.md#two) [5](https://a.b/c)\n")
    assert wrong_links("a.md") == ["c.md", "b.md#two"]


@EACH_PAGE
def test_the_make_targets_exist(path):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    named = {
        name for line in code((ROOT / path).read_text()) for name in re.findall(r"(?:^|\s)make ([a-z][a-z-]*)", line)
    }
    assert named <= targets


def test_control_a_make_target_is_found_in_spans_and_blocks():
    page = "Run `make one` or `X=1 make two`.\n\n    make three  # make four\n\n```sh\nmake five\n```\nand make six\n"
    found = {name for line in code(page) for name in re.findall(r"(?:^|\s)make ([a-z][a-z-]*)", line)}
    assert found == {"one", "two", "three", "five"}


@EACH_PAGE
def test_the_files_exist(path):
    # (The tree lies in /pystack in the VM.)
    folders = r"(?:`|\s)(?:/pystack/)?((?:pystack|pystack_c|tests|tools|docs|web|vagrant|\.vscode)/[\w./-]*)(?=`|$)"
    named = set(re.findall(folders, (ROOT / path).read_text(), re.M))
    missing = [name for name in named if not (ROOT / name).exists() and name != "pystack/stepper/web/static"]
    assert missing == []


@EACH_PAGE
def test_the_modules_exist(path):
    named = {
        name
        for line in code((ROOT / path).read_text())
        for name in re.findall(r"python -m ((?:tools|tests)[\w.]*)", line)
    }
    assert [name for name in named if importlib.util.find_spec(name) is None] == []


def resolves(name: str) -> bool:
    """Whether a dotted name leads to a module, or to something in one."""
    parts = name.split(".")
    for n in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:n]))
        except ModuleNotFoundError:
            continue
        for part in parts[n:]:
            found = getattr(found, part, None)
        return found is not None
    return False


@pytest.mark.parametrize("path", [path for path in PAGES if path != "CHANGELOG.md"])
def test_the_dotted_names_exist(path):
    """(The changelog has the old names of modules that moved.)"""
    named = set(re.findall(r"`((?:pystack|pystack_c)(?:\.\w+)+)`", (ROOT / path).read_text()))
    # (`pystack.service` is systemd's file in the VM.)
    assert [name for name in sorted(named - {"pystack.service"}) if not resolves(name)] == []


def test_control_a_dotted_name_that_is_gone_is_noticed():
    assert resolves("pystack_c.stack.Stack.receive") and not resolves("pystack_c.stack.Stack.recv")
    assert not resolves("pystack_c.stock")


@EACH_PAGE
def test_the_settings_exist(path):
    """A name in backticks that looks like a setting is one, or a name of the source."""
    like = r"`((?:tcp|udp|ip|icmp|neigh|ipfrag|service)_[a-z0-9_]*[a-z0-9])`"
    named = set(re.findall(like, (ROOT / path).read_text()))
    # (`tcp_mem` is the name that tcp(7) has for three of them.)
    assert named - set(FIELDS) - defined() - {"tcp_mem"} == set()


@EACH_PAGE
def test_the_commands_and_their_options_exist(path):
    for line in code((ROOT / path).read_text()):
        for name, rest in re.findall(r"(?:^|(?<!from)\s|/)pystack ([a-z]+)\b([^|&;]*)", line):
            if name not in COMMANDS:
                pytest.fail(f"there is no command `pystack {name}`: {line}")
            options = set(re.findall(r"(?<![\w-])(--[a-z][a-z-]*)", rest))
            assert options <= known_options(name) | {"--help"}, line


@cache
def known_options(name: str) -> frozenset[str]:
    """The options of a command."""
    text = CliRunner().invoke(cli, [name, "--help"], prog_name="pystack").output
    for below in getattr(cli.get_command(click.Context(cli), name), "commands", ()):
        text += CliRunner().invoke(cli, [name, below, "--help"], prog_name="pystack").output
    return frozenset(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text))


def test_the_life_of_a_frame_names_what_is_there():
    """Each function and class of the page is in the file that stands behind it, and each other name in one of the page's files."""
    page = (DOCS / "explanation" / "life-of-a-frame.md").read_text()
    files = set(re.findall(r"`((?:pystack|pystack_c)/[\w/]+\.py)`", page))
    there = {file: names_of(file) for file in files}
    behind = re.findall(r"`([\w.]+)`\s+(?:\(|in\s+)`((?:pystack|pystack_c)/[\w/]+\.py)`", page)
    assert len(behind) > 30
    assert [(name, file) for name, file in behind if name not in there[file]] == []
    everywhere = {part for names in there.values() for name in names for part in (name, name.rpartition(".")[2])}
    names = set(re.findall(r"`((?:[A-Z]\w*\.)?_?[a-z]\w*|[A-Z]\w+)`", page)) - {"None", "curl"}
    assert names - everywhere == set()


def names_of(file: str) -> set[str]:
    """The functions, classes and methods (`Class.method`) of a file."""
    names = set()
    for node in ast.parse((ROOT / file).read_text()).body:
        if isinstance(node, ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.ClassDef):
            names.add(node.name)
            names |= {f"{node.name}.{item.name}" for item in node.body if isinstance(item, ast.FunctionDef)}
    return names


def test_control_a_name_that_is_gone_is_noticed():
    assert "segment_arrives" in names_of("pystack_c/tcp/input.py")
    assert "Stack.receive" in names_of("pystack_c/stack.py") and "Stack.recv" not in names_of("pystack_c/stack.py")


def test_the_generated_pages_have_the_words_of_the_tools():
    """(The figures and results of these pages take minutes; their words do not.)"""
    text = (DOCS / "explanation" / "networks.md").read_text()
    words = [networks_page.HEAD, networks_page.TROUBLE_HEAD, networks_page.CHANGE_HEAD, networks_page.RACE_HEAD]
    assert [word for word in words if word not in text] == []
    text = (DOCS / "explanation" / "against-linux.md").read_text()
    assert text.startswith(against_linux.HEAD.partition("(Linux")[0])
    for page in conformance.PAGES:
        text = (DOCS / "reference" / f"{page}.md").read_text()
        assert text.startswith(conformance.HEADS[page]) and text.endswith(conformance.TAIL + "\n"), "run make rfc"


def test_the_page_about_speed_has_the_instructions_that_are_kept():
    kept = json.loads((ROOT / "tools" / "bench" / "instructions.json").read_text())
    page = (DOCS / "explanation" / "speed.md").read_text().partition("| path | instructions |")[2].partition("\n\n")[0]
    assert [int(number.replace(",", "")) for number in re.findall(r"\| ([\d,]+) \|$", page, re.M)] == list(
        kept.values()
    )


def test_the_page_of_the_command_is_its_help():
    assert (DOCS / "reference" / "cli.md").read_text() == cli_docs.page(), "run tools/cli_docs.py"


def possible() -> bool:
    try:
        checks.check_tun()
        return os.geteuid() == 0 and checks.may_unshare()
    except checks.MissingRequirement:
        return False


@pytest.mark.kernel
@pytest.mark.skipif(not possible(), reason="needs root and /dev/net/tun")
def test_the_readmes_program_runs(tmp_path):
    """The program serves one connection; the kernel's side reads what it says."""
    (program,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    script = tmp_path / "program.py"
    script.write_text(program)
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    server = subprocess.Popen(["unshare", "-n", sys.executable, str(script)], env=env, stderr=-1, text=True)
    try:
        client = ["nsenter", f"--net=/proc/{server.pid}/ns/net", "bash", "-c", "cat < /dev/tcp/10.0.0.2/80"]
        # Not before the server has a namespace of its own: else the client would be in that of the machine.
        mine = os.readlink("/proc/self/ns/net")
        assert until(lambda: server.poll() is not None or os.readlink(f"/proc/{server.pid}/ns/net") != mine)
        output = ""
        end = time.monotonic() + 2 * PATIENCE
        while not output and server.poll() is None and time.monotonic() < end:
            output = subprocess.run(client, capture_output=True, text=True, timeout=PATIENCE).stdout
        assert output == "hello\n", server.stderr.read() if server.stderr and server.poll() is not None else ""
        assert server.wait(PATIENCE) == 0
    finally:
        server.kill()
        server.wait()
        if server.stderr is not None:
            server.stderr.close()
