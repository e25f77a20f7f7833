"""Makes text of unknown origin safe for a terminal: it shows characters that would control the terminal.

Names of hosts, reasons, services, paths and lines of scripts come from files and from the network. A terminal obeys the
escape sequences in them: they move the cursor, hide text, change the title, and on some terminals produce input as if
it was typed. Marks that change the direction of writing make a line look different from what it is.
"""

_CONTROL = (*range(0x20), *range(0x7F, 0xA0))
#: invisible characters that change how others are shown: line separators, directions of writing, tags
_UNSEEN = (0x061C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A), 0xFEFF, *range(0xE0000, 0xE0080))
#: surrogates: they cannot be encoded, so printing one would raise an error
_HALVES = range(0xD800, 0xE000)


def _escape(code: int) -> str:
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


_ESCAPES = {code: _escape(code) for code in (*_CONTROL, *_UNSEEN, *_HALVES) if code not in (0x09, 0x0A)}
_ONE_LINE = {**_ESCAPES, 0x09: "\\t", 0x0A: "\\n"}
_PICTURES: dict[int, int] = dict.fromkeys((*_CONTROL, *_UNSEEN, *_HALVES), 65533)
_PICTURES.update({code: 0x2400 + code for code in range(0x20)})
_PICTURES[0x7F] = 0x2421


def visible(text: object) -> str:
    """Return the text with its control characters as escapes such as \\x1b. Tabs and line ends stay."""
    return str(text).translate(_ESCAPES)


def one_line(text: object) -> str:
    """Return the text on one line: tabs and line ends are escapes, too."""
    return str(text).translate(_ONE_LINE)


def pictures(text: str) -> str:
    """Return the text with each control character as its picture (U+241B for ESC), which keeps the columns."""
    return text.translate(_PICTURES)
