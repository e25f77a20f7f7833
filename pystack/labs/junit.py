"""Writes grades as JUnit's XML, which services for continuous integration show."""

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def legal(text: str) -> str:
    """Return a text without the characters that XML 1.0 cannot have, such as most control characters."""
    return "".join(
        char if char in "\t\n" or " " <= char <= "\ud7ff" or "\ue000" <= char <= "\ufffd" or char > "\uffff" else "?"
        for char in text
    )


def write(path: Path, records: Sequence[dict[str, Any]]) -> None:
    """Write a file. A record has "lab", "verdict", "text" and "seconds", and may have "output", and "skipped" with what was not checked."""
    wrong = sum(record["verdict"] not in ("right", "skipped") for record in records)
    skipped = sum(record["verdict"] == "skipped" for record in records)
    seconds = sum(record["seconds"] for record in records)
    suite = ET.Element("testsuite", name="pystack lab", tests=str(len(records)), failures=str(wrong), errors="0")
    suite.set("skipped", str(skipped)) if skipped else None
    suite.set("time", f"{seconds:.3f}")
    for record in records:
        case = ET.SubElement(suite, "testcase", classname="pystack.lab", name=f"lab {record['lab']}")
        case.set("time", f"{record['seconds']:.3f}")
        if record["verdict"] != "right":
            text = legal(record["text"])
            if record["verdict"] == "skipped":
                ET.SubElement(case, "skipped", message=text)
            else:
                ET.SubElement(case, "failure", type=record["verdict"], message=text).text = text
        said = [record[key] for key in ("skipped", "output") if record.get(key)]
        if said:
            ET.SubElement(case, "system-out").text = legal("\n".join(said))
    suites = ET.Element("testsuites")
    suites.append(suite)
    ET.indent(suites)
    ET.ElementTree(suites).write(path, encoding="utf-8", xml_declaration=True)
