"""Finds the sections of RFCs that the project names, and checks that they exist: `python -m tools.rfc_refs [FOLDER]`.

tests/rfc/sections.csv lists each RFC and each section that a file of the project names, with its title. The titles help the
person who writes a reference: a section that exists may still be the wrong one. tests/rfc/test_sections.py compares the list
with the files. With FOLDER, which has texts of RFCs (rfc9293.txt, or rfc9293.txt.gz as in Debian's packages doc-rfc-*), the list
is written anew from the texts. The rows of an RFC without a text stay as they are, and a section that its text does not have
is reported. The exit status is 1 then.
"""

import csv
import gzip
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from pystack.stepper.links import WITH_RULES

ROOT = Path(__file__).resolve().parents[1]
LIST = ROOT / "tests" / "rfc" / "sections.csv"
REQUIREMENTS = ROOT / "tests" / "rfc" / "requirements"
FOLDERS = ("pystack_c", "pystack", "tests", "docs", "tools", "web/src", "vagrant")
KINDS = (".py", ".pxd", ".md", ".csv", ".pkt", ".ts")

_NUMBER = r"(?:\d{1,2}(?:\.\d{1,2})*|[A-Z](?:\.\d{1,2})*)(?![\w%/]|[.:-]\d)"
_DOTTED = r"(?:\d{1,2}|[A-Z])(?:\.\d{1,2})+(?![\w%/]|[.:]\d)"
_NOTE = r"(?: \([^()]{1,90}\))?"
_KEY = r"(?:sections?|[Aa]ppendix)"
_JOIN = r"(?:,|,? and|,? to|,? or)"
#: "RFC 9110, section 3.7 (gateways) and section 7.6.3 (Via)"; "RFC 9293 3.8.3, 3.8.4"; "RFC 6675 4 and 5"
_REFERENCE = re.compile(
    rf"RFC (\d{{2,5}})(?:"
    rf"(?P<long>{_NOTE},? {_KEY} {_NUMBER}{_NOTE}(?:{_JOIN} (?:{_KEY} )?{_NUMBER}{_NOTE})*)"
    rf"|(?P<short> {_NUMBER}(?:{_JOIN} (?:{_DOTTED}|{_NUMBER}(?=[).\"])))*)"
    rf"|,? (?:section )?\"(?P<name>[A-Z][\w -]+)\""
    rf")?"
)
_TOKEN = re.compile(rf"(?<![\w.]){_NUMBER}")
#: the number of a section without its RFC, in a comment of the core
_ALONE = re.compile(r"(?<![\w./])(\d{1,2}(?:\.\d{1,2}){2,4})(?![\w./]|\d)")
_OTHER = re.compile(r"(?:802\.\d+[A-Z]*|C23|virtio [\d.]+)[^()]{0,40}$")
_DRAFT = re.compile(rf"(draft(?:-[a-z][a-z0-9]*)+)(?:-\d\d)?(?:,? (?:{_KEY} )?({_NUMBER}))?")


class Reference(NamedTuple):
    """An RFC or a draft that a file names, and a section of it ("" is none)."""

    file: str
    line: int
    rfc: str
    section: str


def flat(text: str) -> tuple[str, list[int]]:
    """Return the text with its lines joined, without what begins a comment, and the line of each character."""
    parts: list[str] = []
    lines: list[int] = []
    for number, line in enumerate(text.split("\n"), 1):
        part = re.sub(r"^\s*(?:#:?|//|\*|--)?\s*", "", line) + " "
        if re.match(r'f?"[^"]', part) and parts:  # a string that goes on
            part = part.partition('"')[2]
            before = parts[-1].rstrip()
            if before.endswith('"') and not before.endswith('""'):
                lines = lines[: len(lines) - len(parts[-1]) + len(before) - 1]
                parts[-1] = before[:-1]
        parts.append(part)
        lines += [number] * len(part)
    return "".join(parts), lines


def references(text: str, file: str = "") -> Iterator[Reference]:
    """Yield the RFCs and sections that a text names."""
    joined, lines = flat(text)
    for found in _REFERENCE.finditer(joined):
        line = lines[found.start()]
        sections = [found["name"]] if found["name"] else []
        for part in (found["long"], found["short"]):
            if part:
                sections += _TOKEN.findall(re.sub(r" \([^()]*\)", "", part))
        for section in sections or [""]:
            yield Reference(file, line, found[1], section)
    for found in _DRAFT.finditer(joined):
        yield Reference(file, lines[found.start()], found[1], found[2] or "")


def alone(text: str) -> Iterator[tuple[int, str]]:
    """Yield (line, number) for the numbers of sections that stand without an RFC in comments and docstrings: "(3.8.6.2.1)"."""
    joined, lines = flat(text)
    covered = [found.span() for pattern in (_REFERENCE, _DRAFT) for found in pattern.finditer(joined)]
    for found in _ALONE.finditer(joined):
        address = found[1].count(".") == 3 and int(found[1].partition(".")[0]) in (0, 1, 10)
        other = address or _OTHER.search(joined, max(0, found.start() - 60), found.start())
        if not other and not any(begin <= found.start() < end for begin, end in covered):
            yield lines[found.start()], found[1]


@cache
def of_modules() -> tuple[tuple[Path, int, str, set[str]], ...]:
    """Return (path, line, section, RFCs) for sections without an RFC in the core: they are of an RFC that the module names.

    In tcp/, they may also be sections of RFC 9293.
    """
    found = []
    for path in sorted((ROOT / "pystack_c").rglob("*.py")):
        text = path.read_text()
        rfcs = {one.rfc for one in references(text)} | ({"9293"} if "tcp" in path.parts else set())
        found += [(path, line, section, rfcs) for line, section in alone(text)]
    return tuple(found)


def files() -> Iterator[Path]:
    """Yield the files in which RFCs may be named. The requirements have a column of sections, which `of_requirements` reads."""
    yield from sorted(ROOT.glob("*.md"))
    yield ROOT / "pyproject.toml"
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in KINDS and path.stem not in ("sections", "test_sections") and "static" not in path.parts:
                yield path


def of_requirements() -> Iterator[Reference]:
    """Yield the sections of tests/rfc/requirements/*.csv. In rfc4787.csv the RFC precedes the section."""
    for path in sorted(REQUIREMENTS.glob("*.csv")):
        for number, row in enumerate(csv.DictReader(path.read_text().splitlines()), 2):
            words = re.findall(r"[\d.]+\d|\d", row["section"])
            rfc = words.pop(0) if path.stem == "rfc4787" else path.stem.removeprefix("rfc")
            for section in words:
                yield Reference(path.relative_to(ROOT).as_posix(), number, rfc, section)


@cache
def all_references() -> tuple[Reference, ...]:
    """Return what the whole project names."""
    found = list(of_requirements())
    for path in files():
        text = path.read_text(errors="replace")
        if "RFC" in text or "draft-" in text:
            found += references(text, path.relative_to(ROOT).as_posix())
    return tuple(found)


def read_list() -> dict[str, dict[str, str]]:
    """Return the list: RFC -> section -> title. Section "" is the RFC itself, and "obsolete" names the RFC that replaced it."""
    found: dict[str, dict[str, str]] = {}
    for row in csv.DictReader(LIST.read_text().splitlines()):
        found.setdefault(row["rfc"], {})[row["section"]] = row["title"]
    return found


# -- the texts ------------------------------------------------------------------------------------------------------------

_HEADING = re.compile(r"^ {0,9}((?:\d{1,2}|[A-Z])(?:\.\d{1,2}){0,5})(?:\.0)?\.?(?:  ?(?:- )?| {2,6})(\S.*)$")
_APPENDIX = re.compile(r"^ {0,6}(?:Appendix|APPENDIX) ([A-Z]+)(?:[.:]| -+)?\s*(.*)$")
_NO_TITLE = re.compile(r"^ {0,3}(\d(?:\.\d+)+)\.$")
_RULE = re.compile(r"^ {3,6}\((\d\.\d)\) ")


def headings(text: str, rules: bool = False) -> dict[str, str]:
    """Return the sections of an RFC's text: number -> title. With `rules`, numbered rules, "(5.4)", count as sections."""
    lines = [line.rstrip() for line in text.replace("\r", "").replace("\f", "").split("\n")]
    lines = [line for line in lines if not re.search(r"^RFC \d+ .*\d{4}$|\[Page \w+\]$", line)]
    contents: dict[str, str] = {}
    body: dict[str, str] = {}
    for before, line in zip(["", *lines], lines, strict=False):
        if appendix := _APPENDIX.match(line):
            body.setdefault(appendix[1], re.sub(r"[ .]*\d*$", "", appendix[2]))
        elif heading := _HEADING.match(line):
            number, title = heading.groups()
            if re.search(r"(\. ?){3,}\s*\d*\s*$|\s{4,}\d{1,3}$", line):
                contents.setdefault(number, re.sub(r"[ .]+\d*$", "", title))
            elif not number.isalpha() and (not before or line[0] != " "):
                # A single number may also belong to an item of a list, which is indented.
                indent = len(line) - len(line.lstrip())
                if "." in number or indent == 0 or (indent < 6 and not contents):
                    body.setdefault(number, title)
        elif not before and (plain := _NO_TITLE.match(line)):
            body.setdefault(plain[1], "")
        elif rules and (rule := _RULE.match(line)):
            body.setdefault(rule[1], f"rule ({rule[1]})")
    return body | contents


def named_heading(text: str, name: str) -> bool:
    """Return True if an old RFC without numbers has a heading with this name."""
    return any(line.strip().rstrip(":").lower() == name.lower() for line in text.split("\n"))


def text_of(folder: Path, rfc: str) -> str:
    """Return the text of an RFC, or "" if the folder has none."""
    for name in (f"rfc{rfc}.txt", f"rfc{int(rfc):04d}.txt"):
        for path in (folder / name, folder / f"{name}.gz"):
            if path.exists():
                data = path.read_bytes()
                return (gzip.decompress(data) if path.suffix == ".gz" else data).decode(errors="replace")
    return ""


def written(folder: Path) -> tuple[list[tuple[str, str, str]], list[Reference]]:
    """Return the rows of the list, made from the texts, and the references to sections that do not exist."""
    known, wrong = read_list(), list[Reference]()
    rows: list[tuple[str, str, str]] = []
    named: dict[str, list[Reference]] = {}
    for one in all_references():
        named.setdefault(one.rfc, []).append(one)
    bare: dict[str, set[str]] = {}
    for _, _, section, rfcs in of_modules():
        for rfc in rfcs:
            bare.setdefault(rfc, set()).add(section)
    for rfc in sorted(named, key=lambda name: (not name.isdigit(), int(name) if name.isdigit() else 0, name)):
        kept = known.get(rfc, {})
        text = text_of(folder, rfc) if rfc.isdigit() else ""
        titles = headings(text, rfc in WITH_RULES) if text else kept
        rows += [(rfc, key, kept[key]) for key in ("", "obsolete") if key in kept]
        sections = {one.section for one in named[rfc]} | {name for name in bare.get(rfc, ()) if name in titles}
        for section in sorted(sections - {""}, key=order):
            if section in titles:
                rows.append((rfc, section, titles[section]))
            elif text and named_heading(text, section):
                rows.append((rfc, section, section))
            else:
                wrong += [one for one in named[rfc] if one.section == section]
        if "" not in kept:
            wrong.append(Reference(LIST.name, 0, rfc, ""))
    return rows, wrong


def order(section: str) -> tuple[bool, list[int], str]:
    """Return the key by which sections are sorted: 3.9 precedes 3.10, and the appendices come last."""
    return not section[0].isdigit(), [int(part) for part in section.split(".") if part.isdigit()], section


def main() -> int:
    """Check the references, or write the list from the texts of RFCs."""
    if len(sys.argv) < 2:
        known = read_list()
        wrong = [one for one in all_references() if one.section not in known.get(one.rfc, {})]
    else:
        rows, wrong = written(Path(sys.argv[1]))
        with LIST.open("w", newline="") as out:
            writer = csv.writer(out, lineterminator="\n")
            writer.writerow(("rfc", "section", "title"))
            writer.writerows(rows)
    for one in wrong:
        print(f"{one.file}:{one.line}: RFC {one.rfc} {one.section}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
