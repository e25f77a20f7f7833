"""`pystack ip`: the routes and rules of a running stack, in the words of Linux's `ip`."""

import click

from pystack.style import echo
from pystack.visible import one_line

EXAMPLES = """\b
Examples:
  pystack ip route                                        show the main table
  pystack ip route add 10.1.0.0/16 via 10.0.0.2 table 7   add a route to a table
  pystack ip rule add from 10.2.0.0/16 table 7            choose the table by the source
  pystack ip route add default nexthop via 10.0.0.2 nexthop via 10.0.0.3 weight 2
  pystack ip route get 10.1.2.3 from 10.2.0.1             show the decision for a packet
  pystack ip --name other rule                            show the rules of another stack
"""


@click.command(epilog=EXAMPLES, context_settings={"allow_interspersed_args": False, "ignore_unknown_options": True})
@click.argument("words", nargs=-1, required=True, metavar="route|rule [COMMAND]...")
@click.option("--name", default="pystack", show_default=True, help="Name of the running stack.")
def ip(words: tuple[str, ...], name: str) -> None:
    """Show and change the routes of a running stack, and the rules that choose a table of routes.

    The words are those of `ip route` (add, replace, del, flush, show, get) and `ip rule` (add, del, flush, show).
    """
    from pystack.control.server import ControlError
    from pystack.control.server import ip as ask

    try:
        lines = ask(name, list(words))
    except ControlError as error:
        raise click.ClickException(str(error).removeprefix("Error: ")) from None  # click writes that word itself
    for line in lines:
        echo("\t".join(one_line(part) for part in line.split("\t")))
