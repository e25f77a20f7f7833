"""`pystack step`."""

from typing import TYPE_CHECKING, Any

import click

from pystack.cli.faces import face
from pystack.cli.runs import ReadProgress, open_run, what_if
from pystack.style import echo
from pystack.visible import one_line

if TYPE_CHECKING:
    from pystack.stepper.cursor import Cursor
    from pystack.stepper.scenarios import Scenario
    from pystack.stepper.timeline import Timeline

EXAMPLES = """\b
Examples:
  pystack step --list                               list the scenarios and their questions
  pystack step loss-fast-retransmit                 step through one in the terminal
  pystack step run.pytrace --web                    step through a recording in the browser
  pystack step nagle --why                          print the question and its answer
  pystack step rto --break 'event.kind == "retransmit"'
  pystack step rto --text --at frame=5              print one frame, its reasons and the state after it
  pystack step nagle --what-if nodelay=a            show the run with and without TCP_NODELAY, side by side
  pystack step run.pytrace --verify                 check the states forwards, backwards and by a second replay
  pystack step lan.pcapng --conversations           list the TCP connections of a capture
  pystack step http-get --follow 1                  print what both sides of a conversation said
  pystack step h2.pcapng --messages                 list the messages of HTTP/2, PostgreSQL and others
  pystack step h2.pcapng --messages --at frame=9    print the fields of the messages in one frame
  pystack step --web                                start page: all scenarios, and the recordings of this directory
"""


@click.command(epilog=EXAMPLES)
@click.argument("what", metavar="[FILE|SCENARIO]", required=False)
@click.option("--list", "list_", is_flag=True, help="List the scenarios.")
@click.option("--text", is_flag=True, help="Print the frames and the stacks' decisions, and exit.")
@click.option(
    "--why", is_flag=True, help="Answer the scenario's question in words, or explain the place of --at or --break."
)
@click.option("--at", metavar="PLACE", help="Begin at frame=N, event=N, time=SECONDS, first or last.")
@click.option(
    "--break",
    "breaks",
    metavar="EXPR",
    multiple=True,
    help="Set a breakpoint, such as 'state == TIME_WAIT'; repeatable.",
)
@click.option("--watch", "watches", metavar="EXPR", multiple=True, help="Stop when the value changes; repeatable.")
@click.option(
    "--what-if",
    "changes",
    metavar="CHANGE",
    multiple=True,
    help="Run a scenario with a change and compare the two runs.",
)
@click.option("--conversations", is_flag=True, help="List the conversations of TCP and UDP, and exit.")
@click.option("--follow", type=int, metavar="N", help="Print what both sides of conversation N said, and exit.")
@click.option(
    "--messages", is_flag=True, help="List the messages of HTTP, WebSocket, PostgreSQL and MongoDB, and exit."
)
@click.option(
    "--decode-as",
    metavar="PORT=PROTOCOL",
    multiple=True,
    help="Take what is sent to a port for http, http2, websocket, pgsql, mongo or none; repeatable.",
)
@click.option("--verify", is_flag=True, help="Check the states forwards, backwards and by a second replay.")
@click.option("--web", is_flag=True, help="Serve the stepper to a browser, on this machine only.")
@click.option(
    "--layout", type=click.Choice(["beginner", "expert"]), help="Layout of the page for --web, instead of the last one."
)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port for --web; 0 takes a free one.")
@click.option("--no-browser", is_flag=True, help="Do not open a browser for --web.")
@click.option("--export", metavar="FILE", help="Write one HTML page that works without a server.")
@click.option(
    "--against",
    metavar="FILE|SCENARIO",
    default="",
    help="Another run to compare with: where the time went (--web and terminal), and frame by frame (terminal).",
)
@click.option("--frames", metavar="FIRST-LAST", default="", help="Frames that --export writes, instead of all.")
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of a scenario's network.")
@click.option("--partial", is_flag=True, help="Accept a recording that was cut off, for example by a crash.")
@click.option("--trusted", is_flag=True, help="Set no limits on the recording's size and on what it creates.")
def step(what: str | None, **options: Any) -> int:
    """Step through a recording, a capture or a scenario, forwards and backwards, with every decision explained.

    FILE is a recording (`pystack up --record`), or a capture by any program (.pcapng, .pcap), where the frames say what TCP did.
    SCENARIO is a name from --list. Without further options the stepper runs in
    the terminal. The exit status is 1 if no breakpoint was hit or if --verify found a difference.
    """
    if options["list_"]:
        return _list()
    if options["frames"] and not options["export"]:
        raise click.UsageError("--frames needs --export")
    if what is None and not options["web"]:
        raise click.UsageError("a recording or a scenario is needed; `pystack step --list` lists the scenarios")
    if what is None or (options["web"] and _is_large(what) and not _is_at_once(options)):
        return _serve_desk(what, options)
    from pystack.stepper.cursor import Cursor

    if _is_large(what) and not (options["web"] or _is_at_once(options)):
        if _step_from_the_beginning(what, options):
            return 0
    timeline, scenario = open_run(what, options["seed"], options["partial"], options["trusted"])
    if timeline.inferred:
        _refuse(timeline, options)
    _decode_as(timeline, options["decode_as"])
    if options["messages"]:
        return _messages(timeline, options["at"])
    if options["conversations"]:
        return _conversations(timeline)
    if options["follow"] is not None:
        return _follow(timeline, options["follow"])
    if options["verify"]:
        return _verify(timeline, what, scenario, options["seed"])
    cursor = Cursor(timeline)
    hit = _place(cursor, options)
    against: Timeline | None = None
    if options["changes"]:
        other = what_if(cursor, scenario, options)
        if not options["web"] and not options["export"] and not options["why"]:
            return _side_by_side(timeline, other)
        against, timeline, cursor = timeline, other, Cursor(other)
    if options["export"]:
        export = face("pystack.stepper.export", "export", "web", "--export")
        try:
            export(timeline, options["export"], frames=options["frames"])
        except ValueError as error:
            raise click.ClickException(str(error)) from None
        echo(f"wrote {options['export']}")
        return 0
    if options["text"] or options["why"] or (hit and not options["web"]):
        return _text(cursor, scenario, options)
    if options["against"]:
        against = open_run(options["against"], options["seed"], options["partial"], options["trusted"])[0]
    if options["web"]:
        serve = face("pystack.stepper.web", "serve", "web", "--web")
        serve(timeline, cursor=cursor, scenario=scenario, against=against, **_serving(options))
        return 0
    run = face("pystack.stepper.tui", "run", "tui", "the terminal stepper")
    run(timeline, cursor=cursor, scenario=scenario, seed=options["seed"], against=against)
    return 0


#: options that need the whole recording before the page is served
_AT_ONCE = (
    "at",
    "breaks",
    "watches",
    "changes",
    "verify",
    "why",
    "text",
    "export",
    "conversations",
    "frames",
    "messages",
    "decode_as",
)


def _is_at_once(options: dict[str, Any]) -> bool:
    return options["follow"] is not None or any(options[name] for name in _AT_ONCE)


def _is_large(what: str) -> bool:
    """Return True for a file that takes long to read, so that the user should see its beginning first."""
    import os

    return os.path.isfile(what) and os.path.getsize(what) > ReadProgress.LARGE


def _serving(options: dict[str, Any]) -> dict[str, Any]:
    """Return what the server needs besides the timeline."""
    desk = face("pystack.stepper.web.desk", "Desk", "web", "--web")
    return {
        "port": options["port"],
        "browser": not options["no_browser"],
        "layout": options["layout"] or "",
        "desk": desk(None, ".", partial=options["partial"], trusted=options["trusted"], seed=options["seed"]),
    }


def _serve_desk(what: str | None, options: dict[str, Any]) -> int:
    """Serve the start page, or a large file that is read while the page shows its beginning."""
    serve = face("pystack.stepper.web", "serve", "web", "--web")
    serving = _serving(options)
    if what is not None:
        from pystack.stepper.web.desk import Opening

        path = what
        serving["desk"].first = Opening(path, lambda: open(path, "rb"), options["partial"], options["trusted"])
    serve(**serving)
    return 0


def _step_from_the_beginning(what: str, options: dict[str, Any]) -> bool:
    """Step through the beginning of a large file in the terminal, while the rest is read. False: it shows nothing."""
    from pystack.stepper.beginning import beginning
    from pystack.stepper.timeline import Timeline

    run = face("pystack.stepper.tui", "run", "tui", "the terminal stepper")
    partial, trusted = options["partial"], options["trusted"]
    try:
        with open(what, "rb") as file:
            first = beginning(file, what, trusted=trusted)
    except OSError as error:
        raise click.ClickException(f"{what}: {error.strerror}") from None
    if first is None:
        return False
    run(first, rest=lambda progress: Timeline.load(what, partial=partial, progress=progress, trusted=trusted))
    return True


def _refuse(timeline: "Timeline", options: dict[str, Any]) -> None:
    """Raise an error for what a capture cannot answer."""
    for name, what in (("verify", "--verify"), ("changes", "--what-if")):
        if options[name]:
            raise click.ClickException(str(timeline.beyond(what)))


def _conversations(timeline: "Timeline") -> int:
    from pystack.stepper import text

    if timeline.inferred:
        from pystack.stepper.capture import text as capture

        for line in capture.conversations(timeline):  # type: ignore[arg-type]
            echo(line)
        return 0
    for line in text.conversations(timeline):
        echo(one_line(line))
    return 0


def _follow(timeline: "Timeline", number: int) -> int:
    """Print what both sides said: ">" is the client's, "<" the server's."""
    from pystack.stepper import streams

    talks = streams.conversations(timeline)
    if timeline.inferred:
        # the numbers are those of the list of --conversations, which has the TCP connections alone
        listed = [{talk.client, talk.server} for talk in timeline.conversations()]  # type: ignore[attr-defined]
        by_ends = {frozenset((talk.client, talk.server)): talk for talk in talks if talk.protocol == "TCP"}
        talks = [by_ends[frozenset(ends)] for ends in listed if frozenset(ends) in by_ends]
    if not 1 <= number <= len(talks):
        raise click.ClickException(f"no conversation {number}; there are {len(talks)}")
    pieces, cut = streams.follow(timeline, talks[number - 1])
    for piece in pieces:
        for line in _said(timeline, piece).splitlines():
            echo(f"{'<' if piece.way else '>'} {one_line(line)}")
    if cut:
        echo("(there is more)")
    return 0


def _decode_as(timeline: "Timeline", texts: tuple[str, ...]) -> None:
    """Choose protocols for ports."""
    if not texts:
        return
    try:
        face("pystack.stepper.messages", "decode_as", "dissect", "--decode-as")(timeline, texts)
    except ValueError as error:
        raise click.UsageError(f"--decode-as: {error}") from None


def _said(timeline: "Timeline", piece: Any) -> str:
    """Return what a piece says: the messages of a binary protocol if the package for the dissection is there, or its text."""
    try:
        from pystack.stepper.messages import spoken
    except ImportError:
        from pystack.stepper.streams import readable

        return readable(piece.data)
    return spoken(timeline, piece.frame, piece.data)


def _messages(timeline: "Timeline", at: str | None) -> int:
    """Print all messages, or the fields of those in the frame at a place."""
    lines = face("pystack.stepper.messages", "lines", "dissect", "--messages")
    if not at:
        for line in lines(timeline):
            echo(one_line(line))
        return 0
    from pystack.stepper.cursor import Cursor
    from pystack.stepper.messages import fields_of

    cursor = Cursor(timeline)
    _place(cursor, {"at": at, "breaks": (), "watches": ()})
    frame = cursor.frame
    if frame is None:
        raise click.ClickException("there is no frame at this place")
    for line in fields_of(frame):
        echo(one_line(line))
    return 0


def _list() -> int:
    from pystack.stepper import scenarios

    width = max(map(len, scenarios.NAMES)) + 1
    for number, (part, names) in enumerate(scenarios.PARTS):
        echo(f"\n{part}" if number else part)
        for name in names:
            found = scenarios.get(name)
            echo(f"{name:{width}}{found.title}\n{'':{width}}  {found.question}")
    return 0


def _place(cursor: "Cursor", options: dict[str, Any]) -> bool:
    """Move the cursor to the place of --at and set the breakpoints. Return True if there are any."""
    from pystack.stepper.expr import ExpressionError

    at = options["at"]
    try:
        if at:
            cursor.at(at)
        for text in options["breaks"]:
            cursor.add_break(text)
        for text in options["watches"]:
            cursor.watch(text)
    except ExpressionError as error:
        raise click.UsageError(f"{error.what}\n  {error.caret().splitlines()[0]}\n  {' ' * error.column}^") from None
    except ValueError as error:
        raise click.UsageError(f"--at {at}: {error}") from None
    return bool(cursor.breakpoints)


def _side_by_side(one: "Timeline", two: "Timeline") -> int:
    import shutil

    from pystack.stepper import text

    for line in text.side_by_side(one, two, shutil.get_terminal_size((160, 0)).columns):
        echo(one_line(line))
    return 0


def _text(cursor: "Cursor", scenario: "Scenario | None", options: dict[str, Any]) -> int:
    from pystack.stepper import text

    if cursor.breakpoints:
        hits = 0
        while (stop := cursor.run()) is not None:
            hits += 1
            echo(f"-- {stop}")
            echo(text.place(cursor))
        echo(f"{hits} stop{'' if hits == 1 else 's'}")
        return 0 if hits else 1
    if options["at"]:
        echo(text.place(cursor, whole=options["at"].startswith("frame=")))
    elif options["why"]:
        if scenario is None:
            raise click.UsageError("--why needs a place in the recording: add --at or --break")
        echo(text.answer(cursor.timeline, scenario))
        for one in scenario.tries:
            options_ = " ".join(f"--what-if {change}" for change in one.changes.split())
            echo(f"What if {one.text}? pystack step {scenario.name} {options_}")
    else:
        for line in text.story(cursor.timeline):
            echo(line)
    return 0


def _verify(timeline: "Timeline", what: str, scenario: "Scenario | None", seed: int) -> int:
    import time

    from pystack.stepper.verify import VerificationError, verify

    start = time.monotonic()
    try:
        if scenario is not None:
            result = verify(timeline, scenario.record(seed))
        elif timeline.complete:
            with open(what, "rb") as file:
                result = verify(timeline, file)
        else:
            result = verify(timeline)
    except VerificationError as error:
        echo(f"DIFFERS: {error}")
        return 1
    second = (
        f"{result.values} values equal those of a second replay"
        if result.values
        else "no second replay because the recording was cut off"
    )
    echo(
        f"the states are the same forwards, backwards and forwards again: {result.events} events, {result.frames} frames, "
        f"{result.states} states hashed ({result.digest}), {second}, in {time.monotonic() - start:.1f} s"
    )
    return 0
