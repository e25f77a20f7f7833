"""nft's language: rules as text to nft's JSON and back.

    from pystack import nft

    commands = nft.parse("table inet filter { chain input { type filter hook input priority filter; tcp dport 22 accept; }; }")
    print(nft.text(ruleset))              # as `nft list ruleset` prints it

`parse` and `parse_file` return commands as libnftables-json(5) has them. The rules are in the form in which nft lists them,
so a ruleset that was loaded looks the same as one that the kernel loaded. What pystack does not know is an NftError with
file, line and column. The parser needs lark (`pip install pystack[nft]`); printing does not.
"""

from typing import Any

from pystack.nft.errors import NftError, Place
from pystack.nft.printer import text
from pystack.nft.program import Program, as_program, read, read_path
from pystack.nft.source import LarkMissing

__all__ = [
    "LarkMissing",
    "NftError",
    "Place",
    "Program",
    "as_program",
    "parse",
    "parse_file",
    "read",
    "read_path",
    "text",
]


def parse(rules: str, name: str = "rules", known: Any = None, root: str | None = None) -> dict[str, Any]:
    """Return the commands of a text, {"nftables": [{"add": {"table": ...}}, ...]}. Raises NftError and LarkMissing.

    `name` is shown in errors. `known` is a ruleset in JSON that exists already, so that commands can name its sets.
    `root` is the directory whose files `include` may read; without it there are no includes.
    """
    return read(rules, name, known, root).json()


def parse_file(path: str, known: Any = None) -> dict[str, Any]:
    """Return the commands of a file. It may include files of its directory and of those below. Raises NftError and LarkMissing."""
    return read_path(path, known).json()
