"""The Markdown of a lab's page as HTML for a handout and for the course in a browser, in which the repository's files are not at hand."""

import re
from functools import cache
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

#: a link to the page of another lab
_LAB = re.compile(r"lab_(\d\d)_[a-z0-9_]+")
_WEB = ("https://", "http://")


def html(text: str) -> str:
    """Return a text as HTML. Raw HTML in it stays text. LabError if markdown-it-py is missing."""
    found: str = _renderer().render(text)
    return found


@cache
def _renderer() -> "MarkdownIt":
    from pystack.labs.folders import LabError

    try:
        from markdown_it import MarkdownIt
    except ImportError:
        raise LabError(
            "the labs' pages need markdown-it-py: pip install 'pystack[course]' or 'pystack[handout]'"
        ) from None
    renderer = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    renderer.add_render_rule("link_open", _open)
    renderer.add_render_rule("link_close", _close)
    renderer.add_render_rule("th_open", _head)
    return renderer


def _head(self: Any, tokens: Any, index: int, options: Any, env: Any) -> str:
    """Open a cell of a table's head, which is the head of its column."""
    tokens[index].attrSet("scope", "col")
    found: str = self.renderToken(tokens, index, options, env)
    return found


def _open(self: Any, tokens: Any, index: int, options: Any, env: Any) -> str:
    """Open a link to another site. A link within the repository leads nowhere, so its text stays without a link."""
    if not str(tokens[index].attrGet("href") or "").startswith(_WEB):
        return ""
    found: str = self.renderToken(tokens, index, options, env)
    return found


def _close(self: Any, tokens: Any, index: int, options: Any, env: Any) -> str:
    """Close a link, and say where it leads. Paper has no links, so the stylesheet prints the address of another site."""
    depth = 0
    for token in reversed(tokens[:index]):
        depth += (token.type == "link_close") - (token.type == "link_open")
        if depth < 0:
            return _where(str(token.attrGet("href") or ""))
    raise ValueError("a link ends that has not begun")


def _where(target: str) -> str:
    """Return what comes after the text of a link to this target."""
    if target.startswith(_WEB):
        return "</a>"
    folder, _, file = target.rpartition("/")
    lab = _LAB.fullmatch(folder.rpartition("/")[2])
    if lab and file.partition("#")[0] == "page.md":
        return f" (<code>pystack lab show {int(lab[1])}</code>)"
    return "" if target.startswith("#") else f" (<code>{escape(target.lstrip('./'))}</code>)"
