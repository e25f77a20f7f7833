"""`pystack nft`: the packet filter of a running stack, in nft's language."""

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from pystack.style import echo

if TYPE_CHECKING:
    from pystack.nft import Program

EXAMPLES = """\b
Examples:
  pystack nft -f rules.nft                          load a file
  pystack nft list ruleset                          show the rules, with their counters
  pystack nft -a list chain inet filter input       with handles
  pystack nft add rule inet filter input tcp dport 8080 accept
  pystack nft delete rule inet filter input handle 7
  pystack nft 'add element ip nat servers { 80 : 10.0.0.9 }'
  pystack nft -j list ruleset                       as JSON
  pystack nft -c -f rules.nft                       check a file; no stack has to run
"""


@click.command(epilog=EXAMPLES, context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("-f", "--file", "path", metavar="FILE", help="Read the commands from FILE, or from stdin if it is -.")
@click.option(
    "-a", "--handle", "handles", is_flag=True, help="Show the handles of rules, by which they can be deleted."
)
@click.option("-j", "--json", "as_json", is_flag=True, help="Print JSON (libnftables-json(5)).")
@click.option("-c", "--check", is_flag=True, help="Check the commands with an empty ruleset, and change nothing.")
@click.option("-n", "--name", default="pystack", show_default=True, help="Name of the running stack.")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def nft(path: str | None, handles: bool, as_json: bool, check: bool, name: str, command: tuple[str, ...]) -> int:
    """Change or show the packet filter of a running stack: a COMMAND in nft's language, or a FILE of them.

    All changes of a call are made together, or none of them. What is shown is the ruleset after them. A text that begins with a
    bracket is nft's JSON.
    """
    from pystack.control.server import ControlError
    from pystack.nft import LarkMissing, NftError

    if (path is None) == (not command):
        raise click.UsageError("give a command or -f FILE")
    try:
        if check:
            _check(_read(path, command, []))
            return 0
        return _run(path, command, name, handles, as_json)
    except ControlError as error:
        raise click.ClickException(f"{error}; start one with `pystack up`") from None
    except LarkMissing as error:
        raise click.ClickException(str(error)) from None
    except NftError as error:
        # A mark stands under the place, so the lines are printed as they are.
        echo(str(error), err=True)
        return 1


def _read(path: str | None, command: tuple[str, ...], known: list[Any]) -> "Program":
    """Return the commands of the file or of the command line."""
    from pystack.nft import read, read_path

    ruleset = {"nftables": known}
    if path is None:
        return read(" ".join(command), "command", ruleset)
    if path == "-":
        return read(sys.stdin.read(), "stdin", ruleset)
    return read_path(path, ruleset)


def _check(program: "Program") -> None:
    """Load the commands into a stack that has nothing to do."""
    from pystack_c.config import Config
    from pystack_c.stack import Stack

    program.run(Stack(1, Config(), "check").nft)


def _run(path: str | None, command: tuple[str, ...], name: str, handles: bool, as_json: bool) -> int:
    """Send the changes to the stack, and show what the commands list."""
    from pystack.control.server import change_filter, query
    from pystack.nft.listed import chosen, listed

    program = _read(path, command, query(name, "nft"))
    program.run(lambda commands: change_filter(name, commands))
    lists = program.lists()
    if not lists:
        return 0
    ruleset = query(name, "nft")
    if as_json:
        found = [one for kind, body in lists for one in chosen(ruleset, kind, body)]
        echo(json.dumps({"nftables": [metainfo(), *found]}))
    else:
        for kind, body in lists:
            echo(listed(ruleset, kind, body, handles), nl=False)
    return 0


def metainfo() -> dict[str, Any]:
    """Return the object with which nft's JSON begins."""
    import pystack

    return {"metainfo": {"version": pystack.__version__, "release_name": "pystack", "json_schema_version": 1}}
