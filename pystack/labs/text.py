"""Texts of a page for a terminal: paragraphs and lists in its width."""

import shutil
import textwrap

#: the widest lines, which are still easy to read
WIDEST = 100


def width() -> int:
    """Return how long lines should be."""
    return max(20, min(shutil.get_terminal_size().columns, WIDEST))


def fill(text: str, columns: int) -> str:
    """Return a text in Markdown with lines of at most so many columns. Code, tables and headings stay as they are."""
    out: list[str] = []
    part: list[str] = []
    code = False

    def flush() -> None:
        if part:
            indent = "  " if part[0].startswith("- ") else ""
            words = " ".join(line.strip() for line in part)
            out.append(
                textwrap.fill(words, columns, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
            )
            part.clear()

    for line in text.splitlines():
        fence = line.startswith("```")
        if fence or code or not line.strip() or line[0] in "#|":
            flush()
            out.append(line)
            code ^= fence
            continue
        if line.startswith("- "):
            flush()
        part.append(line)
    flush()
    return "\n".join(out)
