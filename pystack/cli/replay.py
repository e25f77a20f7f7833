"""`pystack replay`."""

import contextlib
import time
from collections.abc import Callable
from typing import Any, BinaryIO

import click

from pystack.cli.filters import FILTER_OPTION, filtered, needs_write
from pystack.style import echo
from pystack.visible import one_line

EXAMPLES = """\b
Examples:
  pystack up -a 10.0.0.2/24 --serve http:80 --record run.pytrace
  pystack replay run.pytrace                       compare every byte and show the first difference
  pystack replay -v run.pytrace | less             explain each frame
  pystack replay --write run.pcapng run.pytrace    write a capture for Wireshark
  pystack replay --write nagle.pcapng nagle        write a capture of a scenario, with each frame at both hosts
  pystack replay --write a.pcapng --host a nagle   write what a capture on host a shows
  pystack replay --series run.csv run.pytrace      write cwnd and other variables over time
  pystack replay --set tcp_nagle=false run.pytrace find out what that setting would have changed
"""


def check_source(context: click.Context, parameter: click.Parameter, value: str) -> str:
    """Return the argument, if there is such a file or scenario."""
    from pystack.cli.scenario import scenario_of

    if scenario_of(value) is None:
        click.Path(exists=True, dir_okay=False).convert(value, parameter, context)
    return value


@click.command(epilog=EXAMPLES)
@click.argument("recording", metavar="RECORDING|SCENARIO", callback=check_source)
@click.option("-v", "--verbose", is_flag=True, help="Print each frame and the stack's decisions.")
@click.option(
    "--write",
    metavar="FILE",
    help="Write a pcapng capture with the names of the hosts, and the reasons as comments; - is standard output.",
)
@FILTER_OPTION
@click.option("--host", metavar="NAME", help="Let --write take only the frames that this host sends and receives.")
@click.option("--keylog", metavar="FILE", help="TLS keys for --write, in the format of SSLKEYLOGFILE.")
@click.option(
    "--series", metavar="FILE", help="Write each connection's cwnd, RTT, windows and so on over time, as CSV."
)
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Change a setting; repeatable.")
@click.option("--partial", is_flag=True, help="Accept a recording that was cut off.")
@click.option("--trusted", is_flag=True, help="Set no limits on the recording's size and on what it creates.")
def replay(
    recording: str,
    verbose: bool,
    write: str | None,
    filter: str | None,
    host: str | None,
    keylog: str | None,
    series: str | None,
    settings: tuple[str, ...],
    partial: bool,
    trusted: bool,
) -> int:
    """Run RECORDING again and compare every frame and every result to the byte.

    Times begin at the first event of the recording, as in `pystack step`, also in the capture (`tshark -t e` shows them).
    RECORDING is a file, or a scenario of `pystack step --list`; so --write makes a capture of a scenario, too.
    The exit status is 1 if something differs; the message names the first difference.
    """
    from pystack.cli.common import output
    from pystack.trace.annotate import FrameProbe, FrameRecord, tee
    from pystack.trace.errors import TraceError
    from pystack.trace.replay import Replay, ReplayMismatch

    def show(record: FrameRecord) -> None:
        echo(one_line(record.line()), err="-" in (write, series))

    _check(write, filter, host, keylog)
    seen: set[str] = set()
    player: Replay
    with contextlib.ExitStack() as undo:
        sinks: list[Any] = [show] if verbose else []
        if write is not None:
            sinks.append(_capture(output(write, undo), keylog, filter, host, seen, lambda: player.hosts, undo))
        probe = FrameProbe(tee(_since(lambda: player.start), *sinks)) if sinks else None
        watch = None if series is None else _series(output(series, undo), undo)
        start = time.monotonic()
        try:
            player = Replay(
                _source(recording),
                name=recording,
                probe=probe,
                partial=partial,
                trusted=trusted,
                config_change=_changer(settings),
                watch=watch,
            )
            counts = player.run()
        except ReplayMismatch as difference:
            echo(f"DIFFERS: {difference}")
            return 1
        except TraceError as error:
            raise click.ClickException(str(error)) from None
        finally:
            if probe is not None:
                probe.flush()
        seconds = time.monotonic() - start
    echo(_summary(counts, seconds), err="-" in (write, series))
    _say_hosts(recording, write, host, seen)
    return 0


def _summary(counts: Any, seconds: float) -> str:
    """Return what was replayed, in words."""
    return (
        f"every byte is the same: {counts.hosts} host{'s' if counts.hosts != 1 else ''}, {counts.frames} frames sent, "
        f"{counts.calls} calls, {counts.duration / 1e9:.3f} s replayed in {seconds:.3f} s"
    )


def _say_hosts(recording: str, write: str | None, host: str | None, seen: set[str]) -> None:
    """Say that a capture has the frames of several hosts. ClickException: the recording has no host of the name that was asked for."""
    if host is not None and host not in seen:
        raise click.ClickException(f"{recording} has no host {host}; its hosts are {', '.join(sorted(seen))}")
    if write is not None and host is None and len(seen) > 1:
        echo(
            f"{write} has each frame of {len(seen)} hosts where it leaves and where it arrives, at interfaces such as {min(seen)}:eth0; "
            f"--host {min(seen)} writes what a capture on one host shows",
            err=True,
        )


def _changer(settings: tuple[str, ...]) -> "Callable[[str, Any], None] | None":
    """Return the function that changes the settings of each host, or None if there is nothing to change."""
    from pystack.cli.common import change_settings

    def change(name: str, config: Any) -> None:
        change_settings(config, settings)

    return change if settings else None


def _since(start: Callable[[], int]) -> Callable[[Any], None]:
    """Return a sink that makes times begin at the recording's first event. A live host's clock can begin anywhere."""

    def shift(record: Any) -> None:
        record.time -= max(start(), 0)

    return shift


def _source(recording: str) -> "str | BinaryIO":
    """Return the file, or, if there is none of that name, the recording of the scenario with that name."""
    import io

    from pystack.cli.scenario import scenario_errors, scenario_of

    scenario = scenario_of(recording)
    if scenario is None:
        return recording
    with scenario_errors(recording):
        return io.BytesIO(scenario.record())


def _check(write: str | None, filter: str | None, host: str | None, keylog: str | None) -> None:
    """Raise UsageError for options of a capture without a capture."""
    needs_write(filter, write)
    if host is not None and write is None:
        raise click.UsageError("--host needs --write: it chooses the frames of the capture")
    if keylog is not None and write is None:
        raise click.UsageError("--keylog needs --write: the keys are written into the capture")


def _capture(
    file: BinaryIO,
    keylog: str | None,
    filter: str | None,
    host: str | None,
    seen: set[str],
    hosts: Callable[[], list[Any]],
    undo: contextlib.ExitStack,
) -> Any:
    """Return a sink that writes the frames that the filter lets pass to a pcapng file, with the keys of `keylog` in front of them.

    It writes the frames of one host, or of all hosts for None, and adds the names of all to `seen`.
    """
    from pystack.trace.hosts import HostsCapture
    from pystack.trace.keylog import KeyLog
    from pystack.trace.pcapng import PcapngWriter

    def through(sink: Callable[[Any], None]) -> Callable[[Any], None]:
        passed = filtered(filter, sink)

        def chosen(record: Any) -> None:
            seen.add(record.host)
            if host is None or record.host == host:
                passed(record)

        return chosen

    writer = PcapngWriter(file)
    if keylog is not None:
        writer.secrets(KeyLog(keylog).new())
    frames = HostsCapture(writer, lambda: [one.stack for one in hosts()], through=through)
    undo.callback(frames.flush)
    return frames


def _series(file: BinaryIO, undo: contextlib.ExitStack) -> Callable[[Any], object]:
    """Return a `watch` for Replay. It records each stack's variables, and `undo` writes them to `file` as CSV."""
    import io

    from pystack.trace.series import Series, write_csv

    table = io.TextIOWrapper(file, newline="")
    watched: list[Series] = []

    def write() -> None:
        write_csv(watched, table)
        table.flush()
        table.detach()

    undo.callback(write)
    return lambda stack: watched.append(Series(stack))
