"""`pystack replay`."""

import time
from typing import Any

import click

from pystack.style import echo
from pystack.visible import one_line

EXAMPLES = """\b
Examples:
  pystack up -a 10.0.0.2/24 --serve http:80 --record run.pytrace
  pystack replay run.pytrace                       to the byte, or where it differs
  pystack replay -v run.pytrace | less             each frame explained
  pystack replay --write run.pcapng run.pytrace    for Wireshark
  pystack replay --series run.csv run.pytrace      cwnd and the like over time
  pystack replay --set tcp_nagle=false run.pytrace what that setting would have changed
"""


@click.command(epilog=EXAMPLES)
@click.argument("recording", type=click.Path(exists=True, dir_okay=False))
@click.option("-v", "--verbose", is_flag=True, help="Print each frame and what the stack decided.")
@click.option("--write", metavar="FILE", help="Write a pcapng capture, the reasons as comments; - is stdout.")
@click.option("--keylog", metavar="FILE", help="TLS keys for --write, as SSLKEYLOGFILE has them.")
@click.option("--series", metavar="FILE", help="Write cwnd, RTT, windows ... of each connection over time, as CSV.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Change a setting; repeatable.")
@click.option("--partial", is_flag=True, help="Accept a recording that was cut off.")
@click.option("--trusted", is_flag=True, help="No limits on what the recording expands to and makes.")
def replay(
    recording: str,
    verbose: bool,
    write: str | None,
    keylog: str | None,
    series: str | None,
    settings: tuple[str, ...],
    partial: bool,
    trusted: bool,
) -> int:
    """Run RECORDING again and compare every frame and result to the byte.

    Exit status 1 where something differs; the first difference is named.
    """
    import contextlib
    import io

    from pystack.cli.common import output, parse_setting
    from pystack.trace import pcapng
    from pystack.trace.annotate import AnnotatedCapture, FrameProbe, FrameRecord, tee
    from pystack.trace.errors import TraceError
    from pystack.trace.keylog import KeyLog
    from pystack.trace.replay import Replay, ReplayMismatch
    from pystack.trace.series import Series, write_csv

    def change(name: str, config: Any) -> None:
        config.update(dict(parse_setting(config, text) for text in settings))

    def show(record: FrameRecord) -> None:
        echo(one_line(record.line()), err="-" in (write, series))

    if keylog is not None and write is None:
        raise click.UsageError("--keylog goes with --write: the keys are written into the capture")
    with contextlib.ExitStack() as undo:
        sinks: list[Any] = [show] if verbose else []
        if write is not None:
            writer = pcapng.PcapngWriter(output(write, undo))
            if keylog is not None:
                writer.secrets(KeyLog(keylog).new())
            sinks.append(AnnotatedCapture(writer, hosts=True))
        probe = FrameProbe(tee(*sinks)) if sinks else None
        table = io.TextIOWrapper(output(series, undo), newline="") if series is not None else None
        start = time.monotonic()
        try:
            watched: list[Series] = []
            player = Replay(
                recording,
                probe=probe,
                partial=partial,
                trusted=trusted,
                config_change=change if settings else None,
                watch=None if table is None else lambda stack: watched.append(Series(stack)),
            )
            try:
                counts = player.run()
            finally:
                if table is not None:
                    write_csv(watched, table)
                    table.flush()
                    table.detach()
        except ReplayMismatch as difference:
            echo(f"DIFFERS: {difference}")
            return 1
        except TraceError as error:
            raise click.ClickException(str(error)) from None
        finally:
            if probe is not None:
                probe.flush()
        seconds = time.monotonic() - start
    echo(
        f"the same to the byte: {counts.hosts} host{'s' if counts.hosts != 1 else ''}, {counts.frames} frames sent, "
        f"{counts.calls} calls, {counts.duration / 1e9:.3f} s replayed in {seconds:.3f} s",
        err="-" in (write, series),
    )
    return 0
