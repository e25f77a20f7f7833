"""`pystack pkt`."""

import json
import os
import time

import click

from pystack.style import echo

EXAMPLES = """\b
Examples:
  pystack pkt tests/pkt/scripts/handshake.pkt      run one script
  pystack pkt -v script.pkt                        print its output and the notes, too
  pystack pkt suite/ --json result.json            run a directory, print a table, write the details to a file
  pystack pkt --profile freebsd suite/             use FreeBSD's settings; options may come in any order
  pystack pkt --set tcp_init_cwnd=2 -D MSS=1000 script.pkt

The exit status is 0 if all scripts passed, 1 if one failed, and 2 for wrong usage, an unreadable script or if nothing could be run.
"""


@click.command(epilog=EXAMPLES)
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True))
@click.option(
    "--profile", default="linux", show_default=True, help="Settings to start from: linux, freebsd, rfc, lab or tahoe."
)
@click.option(
    "-D", "--define", "defines", multiple=True, metavar="NAME=VALUE", help="Define a name for the scripts; repeatable."
)
@click.option(
    "--set", "changes", multiple=True, metavar="NAME=VALUE", help="Change a setting of the stack; repeatable."
)
@click.option("--options", type=click.Choice(["exact", "any-order"]), help="How the options of segments are compared.")
@click.option("--ignore-push", is_flag=True, help="Do not compare the PSH flag.")
@click.option(
    "--strict-segments",
    is_flag=True,
    help="Require that a packet of the script is one packet on the wire, never several.",
)
@click.option("--wscale", type=click.IntRange(0, 14), help="Window scale to offer.")
@click.option("--initial-window", type=click.IntRange(1, 1000), help="Initial congestion window, in segments.")
@click.option("--delayed-ack", type=int, metavar="MS", help="Delayed-ACK timer.")
@click.option("--syn-rto", type=int, metavar="MS", help="Time until the first retransmission of a SYN.")
@click.option("--tolerance-usecs", type=int, help="Largest allowed difference in time of a packet.")
@click.option("--init-scripts", metavar="FILE,...", help="Shell scripts whose sysctl lines are applied first.")
@click.option("--json", "json_path", metavar="FILE", help="Write the counts and every verdict; - is standard output.")
@click.option("-v", "--verbose", is_flag=True, help="Print the name of every script, and the notes.")
@click.option("-q", "--quiet", is_flag=True, help="Print only the table, no diagnosis.")
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of the stack.")
def pkt(  # noqa: PLR0913
    paths: tuple[str, ...],
    profile: str,
    defines: tuple[str, ...],
    changes: tuple[str, ...],
    options: str | None,
    ignore_push: bool,
    strict_segments: bool,
    wscale: int | None,
    initial_window: int | None,
    delayed_ack: int | None,
    syn_rto: int | None,
    tolerance_usecs: int | None,
    init_scripts: str | None,
    json_path: str | None,
    verbose: bool,
    quiet: bool,
    seed: int,
) -> int:
    """Run packetdrill scripts against the stack, in process and in virtual time.

    PATHS are scripts, or directories of scripts. The command needs no root rights, no kernel support and no device.
    """
    from pystack.cli.common import change_settings
    from pystack.pkt.settings import ScriptSettings

    try:
        settings = ScriptSettings.for_profile(profile)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    settings.seed = seed
    settings.push = not ignore_push
    settings.strict_segments = strict_segments
    settings.options = options or settings.options
    settings.tolerance_usecs = tolerance_usecs or settings.tolerance_usecs
    for text in defines:
        name, _, value = text.partition("=")
        settings.defines[name] = value or "1"
    if init_scripts:
        settings.init_scripts = tuple(os.path.abspath(name) for name in init_scripts.split(","))
    settings.config.update(change_settings(settings.make_config(), changes))
    for name, number in (("tcp_wscale", wscale), ("tcp_init_cwnd", initial_window)):
        if number is not None:
            settings.config[name] = number
    for name, number in (("tcp_delack_time", delayed_ack), ("tcp_rto_initial", syn_rto)):
        if number is not None:
            settings.config[name] = number * 1_000_000
    return run_all(paths, settings, json_path, verbose, quiet)


def run_all(paths: tuple[str, ...], settings: object, json_path: str | None, verbose: bool, quiet: bool) -> int:
    """Run the scripts, print the results, write the JSON file, and return the exit status."""
    from pystack.pkt import report
    from pystack.pkt.settings import ScriptSettings

    assert isinstance(settings, ScriptSettings)
    start = time.perf_counter()
    to_stdout = json_path == "-"
    verdicts = []
    for path in paths:
        scripts = report.find_scripts(path) if os.path.isdir(path) else [path]
        for script in scripts:
            verdict = report.run_path(script, settings, explain=not quiet)
            verdicts.append(verdict)
            if verdict.verdict == report.FAILED and not quiet:
                echo(report.diagnosis(verdict), err=to_stdout)
            elif verdict.verdict == report.UNSUPPORTED and (verbose or os.path.isfile(path)):
                echo(report.diagnosis(verdict), err=to_stdout)
            elif verbose:
                echo(f"{verdict.path}: passed in {verdict.seconds * 1e3:.1f} ms", err=to_stdout)
                for note in verdict.notes:
                    echo(f"  note      {note}", err=to_stdout)
    total = report.counts(verdicts)
    if len(verdicts) == 1 and verdicts[0].verdict == report.PASSED and not verbose and not quiet:
        echo(f"{verdicts[0].path}: passed", err=to_stdout)
    if len(verdicts) > 1 or any(os.path.isdir(path) for path in paths):
        root = os.path.commonpath([os.path.abspath(p) for p in paths])
        for verdict in verdicts:
            verdict.path = os.path.relpath(verdict.path)
        echo(report.table(verdicts, root), err=to_stdout)
        echo(f"{len(verdicts)} scripts in {time.perf_counter() - start:.2f} s", err=to_stdout)
    if json_path is not None:
        text = json.dumps(report.as_json(verdicts, settings), indent=1)
        if to_stdout:
            echo(text)
        else:
            with open(json_path, "w", encoding="utf-8") as file:
                file.write(text + "\n")
    if any(v.verdict == report.FAILED and v.kind != "syntax" for v in verdicts):
        return 1
    if any(v.kind == "syntax" for v in verdicts) or not total[report.PASSED]:
        return 2 if len(verdicts) == 1 or not total[report.PASSED] else 1
    return 0
