"""The pages of the labs as HTML. A page is text of people, so nothing in it becomes markup that it does not write as Markdown."""

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from markdown_it import MarkdownIt


def html(text: str) -> str:
    """Return a text in Markdown as HTML. LabError if markdown-it-py is missing."""
    found: str = _renderer().render(text)
    return found


@cache
def _renderer() -> "MarkdownIt":
    from pystack.labs.folders import LabError

    try:
        from markdown_it import MarkdownIt
    except ImportError:
        raise LabError("the course needs markdown-it-py: pip install 'pystack[course]'") from None
    # Raw HTML is escaped, and a page has no pictures.
    renderer = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    renderer.add_render_rule("link_open", _link)
    return renderer


def _link(self: Any, tokens: Any, index: int, options: Any, env: Any) -> str:
    """Open a link to another site in a tab of its own. Links within the repository lead nowhere here, so they become text."""
    token = tokens[index]
    if str(token.attrGet("href") or "").startswith(("https://", "http://")):
        token.attrSet("target", "_blank")
        token.attrSet("rel", "noopener noreferrer")
    else:
        token.attrs.pop("href", None)
    rendered: str = self.renderToken(tokens, index, options, env)
    return rendered
