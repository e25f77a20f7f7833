"""What a text of rules says: commands in nft's JSON, each with the place that it comes from."""

import json
import os
from collections.abc import Callable
from typing import Any

from pystack.nft.errors import Place, RulesetError
from pystack.nft.known import known_sets
from pystack.nft.source import Source, read_file
from pystack_c.filter.nft.errors import NftError

Origin = tuple[str, str, Place | None]


class NftProgram:
    """Commands of one text. `origins` has for each of them the file, its text and the place in it, or None."""

    def __init__(self, commands: list[Any], origins: list[Origin | None]):
        self.commands = commands
        self.origins = origins

    def changes(self) -> "NftProgram":
        """Return the commands that change the ruleset: all but `list`."""
        both = zip(self.commands, self.origins, strict=True)
        chosen = [(command, origin) for command, origin in both if "list" not in command]
        return NftProgram([command for command, _ in chosen], [origin for _, origin in chosen])

    def lists(self) -> list[tuple[str, Any]]:
        """Return what the `list` commands ask for: the kind, and the names or None."""
        return [next(iter(command["list"].items())) for command in self.commands if "list" in command]

    def json(self) -> dict[str, Any]:
        """Return the commands as nft's JSON."""
        return {"nftables": self.commands}

    def run(self, load: Callable[[str], Any]) -> None:
        """Give the commands that change the ruleset to `load`, as a JSON text. Raises RulesetError that shows the line."""
        changes = self.changes()
        if not changes.commands:
            return
        try:
            load(json.dumps(changes.json()))
        except RulesetError:
            raise
        except NftError as error:
            raise changes.located(error) from None

    def located(self, error: NftError) -> RulesetError:
        """Return an error of the core with the line that it is about."""
        number = next((step for step in error.path if isinstance(step, int)), None)
        if number is None or number >= len(self.origins) or self.origins[number] is None:
            return RulesetError(str(error))
        file, words, place = self.origins[number] or ("", "", None)
        return RulesetError(error.message, place).locate(file, words)


def read(rules: str, name: str = "rules", known: Any = None, root: str | None = None) -> NftProgram:
    """Return the commands of a text in nft's language, or in nft's JSON if it begins with a bracket.

    The arguments are those of `parse`. Raises RulesetError and LarkMissing.
    """
    if rules.lstrip()[:1] in ("{", "["):
        return _read_json(rules)
    from pystack.nft.commands import CommandReader

    reader = CommandReader(Source(root), known_sets(known))
    reader.text(rules, name, "file", reader.command)
    return NftProgram(reader.commands, [reader.origins.get(id(command)) for command in reader.commands])


def _read_json(text: str) -> NftProgram:
    """Return the commands of a text in nft's JSON. The core checks them."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RulesetError(f"the text is no JSON: {error}") from None
    commands = found.get("nftables") if isinstance(found, dict) else found
    if not isinstance(commands, list) or not all(isinstance(command, dict) for command in commands):
        raise RulesetError('JSON of nft is {"nftables": [ ... ]} with a list of commands')
    commands = [command for command in commands if "metainfo" not in command]
    return NftProgram(commands, [None] * len(commands))


def read_path(path: str, known: Any = None) -> NftProgram:
    """Return the commands of a file. It may include files of its directory and of those below. Raises RulesetError and LarkMissing."""
    return read(read_file(path), path, known, os.path.dirname(os.path.abspath(path)))


def as_program(commands: Any, known: list[Any]) -> NftProgram:
    """Return commands that are given in any form: a text, a path (os.PathLike), a list, or {"nftables": [...]}.

    Raises RulesetError and LarkMissing.
    """
    ruleset = {"nftables": known}
    if isinstance(commands, os.PathLike):
        return read_path(os.fspath(commands), ruleset)
    return read(commands if isinstance(commands, str) else json.dumps(commands), "rules", ruleset)
