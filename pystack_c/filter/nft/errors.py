"""The error of a ruleset that is refused, with the place of the mistake."""

from typing import Any


class NftError(ValueError):
    """A ruleset is refused. `path` leads to the JSON element, such as ("nftables", 3, "add", "rule", "expr", 0)."""

    def __init__(self, message: str, path: tuple[Any, ...] = ()) -> None:
        self.message = message
        self.path = path
        super().__init__(f"{path_text(path)}: {message}" if path else message)


def path_text(path: tuple[Any, ...]) -> str:
    """Return a path for people: nftables[3].add.rule.expr[0]."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text
