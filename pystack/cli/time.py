"""`pystack time`."""

import json
from typing import TYPE_CHECKING, Any

import click

from pystack.cli.runs import open_run, what_if
from pystack.style import echo
from pystack.visible import one_line

if TYPE_CHECKING:
    from pystack.stepper.timeline import Timeline
    from pystack.stepper.timing import Path

EXAMPLES = """\b
Examples:
  pystack time nagle                            where the time of a scenario went
  pystack time nagle --advice                   try what may help, and show what does
  pystack time nagle --what-if nodelay=a        compare it with a run that has one change
  pystack time run.pytrace --conn 10.0.0.2:80   the first connection of a recording with these words in its name
  pystack time run.pytrace --from frame=4 --to frame=9 --json
  pystack time lan.pcapng --conn 2              the second connection of a capture, by inference
"""


def list_causes(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    """Print what the spans may say, and end the command."""
    if not value:
        return
    from pystack.stepper.timing import CAUSES, WHYS

    for title, known in (("Where the time passed:", CAUSES), ("What was waited for:", WHYS)):
        echo(title)
        for name, text in known.items():
            if name:
                echo(f"  {name:29} {text}")
    context.exit()


@click.command(epilog=EXAMPLES)
@click.argument("what", metavar="FILE|SCENARIO")
@click.option(
    "--conn",
    metavar="TEXT",
    default="",
    help="Connection: a part of its host and addresses, or its number from 1.  [default: the first that connects]",
)
@click.option("--from", "begin", metavar="PLACE", default="", help="Begin at frame=N, event=N or time=SECONDS.")
@click.option("--to", "end", metavar="PLACE", default="", help="End at frame=N, event=N or time=SECONDS.")
@click.option("--json", "as_json", is_flag=True, help="Print all spans as JSON, with times in ns.")
@click.option("--advice", is_flag=True, help="Run a scenario with each change that may help, and show what each saves.")
@click.option(
    "--what-if", "changes", metavar="CHANGE", multiple=True, help="Compare a scenario with a run that has this change."
)
@click.option("--against", metavar="FILE|SCENARIO", default="", help="Compare it with another run.")
@click.option(
    "--list-causes",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=list_causes,
    help="Explain the causes and reasons, and exit.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of a scenario's network.")
@click.option("--partial", is_flag=True, help="Accept a recording that was cut off, for example by a crash.")
@click.option("--trusted", is_flag=True, help="Set no limits on the recording's size and on what it creates.")
def time(what: str, **options: Any) -> int:
    """Show where the time of a request went, span by span. The spans sum to its time exactly.

    FILE is a recording or a capture, and SCENARIO is a name from `pystack step --list`. Without --from and --to, the request begins at the
    connection's connect() and ends where the last data of its answer arrived. A span that is marked ~ was concluded, because
    the other side was not recorded. In a capture (.pcapng, .pcap), all spans are concluded from the frames.
    """
    from pystack.stepper.timing import text

    if (options["begin"] or options["end"]) and (options["advice"] or options["changes"] or options["against"]):
        raise click.UsageError("--advice, --what-if and --against compare whole requests: leave out --from and --to")
    timeline, scenario = open_run(what, options["seed"], options["partial"], options["trusted"])
    found = _path(timeline, options)
    if options["as_json"]:
        echo(json.dumps(found.as_dict(), indent=2))
        return 0
    echo(one_line(f"{found.conn or what}: {text.ms(found.elapsed)}"))
    for line in text.waterfall(found):
        echo(line)
    echo("")
    for line in text.sums(found):
        echo(line)
    if timeline.inferred:
        _requests(timeline, found.conn)
    if options["advice"]:
        return _advice(timeline, scenario, found, options["seed"])
    other = _other(timeline, scenario, options)
    if other is not None:
        echo("")
        for line in text.compared(found, _path(other, options)):
            echo(line)
    return 0


def _path(timeline: "Timeline", options: dict[str, Any]) -> "Path":
    from pystack.stepper.timing import PathError, path
    from pystack.stepper.timing.places import connection

    try:
        conn = connection(timeline, options["conn"])
        begin, end = (_place(timeline, options[name], name == "end") for name in ("begin", "end"))
        return path(timeline, conn, begin, end)
    except PathError as error:
        raise click.ClickException(str(error)) from None


def _requests(timeline: "Timeline", conn: str) -> None:
    """List the requests of a connection of a capture, if it had several, and say what was never acknowledged."""
    from pystack.stepper.timing import text
    from pystack.stepper.timing.index import Lookup
    from pystack.stepper.timing.talk import CapturedTalk, turns, unacknowledged

    talk = CapturedTalk(timeline, Lookup(timeline), conn)
    found = turns(talk)
    if len(found) > 1:
        echo("")
        echo("requests, from the first byte of each to the last of its answer:")
        for turn in found:
            place = f"--from frame={turn.first} --to frame={turn.last}"
            echo(one_line(f"{text.ms(turn.end - turn.begin):>16}  {place}  {turn.name}".rstrip()))
    lost = unacknowledged(talk)
    if lost is not None:
        first, last, times = lost
        echo("")
        echo(
            f"frame {first} was never acknowledged ({times} retransmission{'s' * (times > 1)}): --from frame={first} --to frame={last}"
        )


def _place(timeline: "Timeline", text: str, end: bool) -> int:
    from pystack.stepper.timing import PathError
    from pystack.stepper.timing.places import place

    try:
        return place(timeline, text, end)
    except PathError as error:
        raise click.BadParameter(str(error), param_hint="--to" if end else "--from") from None


def _other(timeline: "Timeline", scenario: Any, options: dict[str, Any]) -> "Timeline | None":
    from pystack.stepper.cursor import Cursor

    if options["changes"]:
        return what_if(Cursor(timeline), scenario, {**options, "at": ""})
    if options["against"]:
        return open_run(options["against"], options["seed"], options["partial"], options["trusted"])[0]
    return None


def _advice(timeline: "Timeline", scenario: Any, found: "Path", seed: int) -> int:
    from pystack.stepper.timing import text
    from pystack.stepper.timing.advice import tried

    if scenario is None:
        raise click.UsageError("--advice needs a scenario: a recording has no other side that could react")
    echo("")
    advice = tried(scenario, timeline, found, seed)
    for one in advice:
        if one.saved > 0:
            echo(
                f"saves {text.ms(one.saved)} ({one.change}): {one.text}; the spans that it may remove took {text.ms(one.at_most)}"
            )
    for one in advice:
        if one.saved <= 0:
            echo(f"saves nothing ({one.change}), although the spans that it may remove took {text.ms(one.at_most)}")
    if not advice:
        echo("nothing that could be tried would help")
    return 0
