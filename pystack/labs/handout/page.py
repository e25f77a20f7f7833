"""A lab as one HTML file, for paper and for screens. Everything is inside: the styles, the network and the plots."""

import base64
import re
from collections.abc import Sequence
from html import escape
from typing import Any

from pystack.labs.effort import needs
from pystack.labs.folders import LabFolder
from pystack.labs.handout.markdown import html
from pystack.labs.handout.style import STYLE, paper_style
from pystack.labs.looks import LabLook
from pystack.labs.values import LabValue

#: nothing is loaded, and nothing runs
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
LANGUAGES = {".py": "Python", ".c": "C", ".js": "JavaScript"}


def page(lab: LabFolder, solutions: bool = False, paper: str = "") -> str:
    """Return the text of the file. `paper` is "A4" or "Letter", or "" for what the printer has.

    Without `solutions`, it has what learners need before the lab: the story, the network, the question, a table with room for predictions, and the
    exercise with its starter file. With them, there are the formulas and results, the explanation, the plots (which show the results), a solution, the hints, and
    typical wrong answers. LabError if a package is missing.
    """
    title = f"Lab {lab.number}: {lab.title}" + (" (with solutions)" if solutions else "")
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="generator" content="pystack">',
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}{paper_style(paper, f'Lab {lab.number}')}</style>",
        "</head>",
        "<body>",
        "<main>",
        f"<h1>{escape(title)}</h1>",
        *([] if solutions else ['<p class="fields">Name: <span></span> Date: <span></span></p>']),
        *_section(lab, "Story"),
        "<h2>Network</h2>",
        _network(lab),
        *_section(lab, "Question"),
        *_section(lab, "What to predict"),
        _values(lab, solutions),
        f"<p>Run it with <code>pystack lab run {lab.number}</code>.{_needs(lab)}</p>",
    ]
    if solutions:
        parts += [*_section(lab, "Explanation"), *_plots(lab)]
    parts += [*_section(lab, "Exercise"), f"<p>Begin with <code>pystack lab start {lab.number}</code>.</p>"]
    parts += _listing("The file to begin with", lab.starter.read_text(encoding="utf-8"), lab.suffix)
    if solutions:
        parts += _listing("A solution", lab.solution.read_text(encoding="utf-8"), lab.suffix)
        parts += ["<h3>The hints</h3>", _list("ol", lab.hints())]
        parts += ["<h3>Typical wrong answers, and how their hint begins</h3>", _list("ul", list(lab.wrong().values()))]
    parts += [*_section(lab, "Further reading"), "</main>", "</body>", "</html>", ""]
    return "\n".join(parts)


def _section(lab: LabFolder, heading: str) -> list[str]:
    return [f"<h2>{heading}</h2>", html(lab.section(heading)).rstrip()]


def _list(kind: str, texts: Sequence[str]) -> str:
    return f"<{kind}>" + "".join(f"<li>{html(text).strip()}</li>" for text in texts) + f"</{kind}>"


def _listing(heading: str, text: str, suffix: str) -> list[str]:
    code = f"<pre><code>{escape(text.rstrip(), quote=False)}</code></pre>"
    return [f"<h3>{heading} ({LANGUAGES[suffix]})</h3>", code]


def _picture(svg: str, alt: str, caption: str) -> str:
    """Return a drawing with its caption. As an image of its own, its names do not meet those of another one."""
    data = base64.b64encode(svg.encode()).decode()
    image = f'<img src="data:image/svg+xml;base64,{data}" alt="{escape(alt)}">'
    return f"<figure>{image}<figcaption>{escape(caption)}</figcaption></figure>"


def _network(lab: LabFolder) -> str:
    from pystack.sim.svg import svg

    net = lab.network()
    return _picture(svg(net), described(net), "The network of the experiment")


def described(net: Any) -> str:
    """Return a network in a sentence for each node and each link, for readers who do not see the drawing."""
    from pystack.sim.drawing import KINDS, addresses_of, faults_of, nodes_of

    found = []
    for node in nodes_of(net):
        kind = KINDS.get(type(node).__name__, "host")
        addresses = [address for port in node.ports for address in addresses_of(port)]
        found.append(f"{kind} {node.name}" + (f" with {', '.join(addresses)}" if addresses else ""))
    links = []
    for link in net.links.values():
        faults = faults_of(link, link.a)
        links.append(f"{link.a.node.name} to {link.b.node.name}" + (f" ({faults})" if faults else ""))
    return f"Nodes: {'; '.join(found)}. Links: {'; '.join(links) or 'none'}."


def _values(lab: LabFolder, solutions: bool) -> str:
    """Return the table of the values and the controls, with room to write or with the results."""
    heads = ["Value", "Formula", "Result"] if solutions else ["Value", "My prediction", "Measured"]
    caption = "The values and what the formulas give" if solutions else "What I predict, and what was measured"
    rows = [_value(value, value.question, solutions) for value in lab.values()]
    change = ""
    for control in lab.module("experiment").CONTROLS:
        if control.change != change:
            change = control.change
            rows.append(f'<tr><th scope="rowgroup" colspan="3">Control: {_code(change)}</th></tr>')
        rows.append(_value(control.value, control.value.question, solutions))
    return "\n".join(
        [
            f'<table class="{"results" if solutions else "predictions"}">',
            f"<caption>{caption}</caption>",
            "<thead><tr>" + "".join(f'<th scope="col">{head}</th>' for head in heads) + "</tr></thead>",
            "<tbody>",
            *rows,
            "</tbody>",
            "</table>",
        ]
    )


def _value(value: LabValue, question: str, solutions: bool) -> str:
    head = f'<th scope="row">{_code(question)}</th>'
    if solutions:
        return f"<tr>{head}<td>{escape(value.formula)}</td><td>{escape(value.text(value.expected) + _width(value))}</td></tr>"
    unit = f'<span class="unit">{escape(value.unit)}</span>' if value.unit else ""
    return f"<tr>{head}<td>{unit}</td><td>{unit}</td></tr>"


def _code(text: str) -> str:
    """Return the question of a value as HTML. Text between backquotes is code, and nothing else is markup, because formulas have stars."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _needs(lab: LabFolder) -> str:
    found = needs(lab)
    return f" A part of the lab needs {escape(', '.join(found))}." if found else ""


def _width(value: LabValue) -> str:
    """Return the tolerance of a value for reading, or ""."""
    return f" ± {value.text(value.tolerance)}" if value.tolerance else ""


def _plots(lab: LabFolder) -> list[str]:
    if not lab.looks():
        return [f"<h3>What there is to see</h3><p>There is no plot of this lab: {escape(lab.no_looks())}.</p>"]
    return ["<h3>What there is to see</h3>", *(_plot(look) for look in lab.looks())]


def _plot(look: LabLook) -> str:
    from pystack.stepper.plot.figures import KINDS

    if look.missing():
        return f"<p>{escape(look.title)}: this machine {escape(look.missing())}.</p>"
    return _picture(look.svg(), f"{look.title}. {KINDS[look.plot]}", look.title)
