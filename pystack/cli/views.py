"""`pystack ss`, `neigh`, `conntrack`, `route`, `addr` and `counters`: tables of a running stack, read through its control socket."""

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import click

from pystack.cli import tcpinfo
from pystack.style import echo
from pystack.visible import one_line

Row = dict[str, Any]


def common(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that all views have."""
    for option in (
        click.option("-j", "--json", "as_json", is_flag=True, help="Print JSON."),
        click.option("-n", "--name", default="pystack", show_default=True, help="Name of the running stack."),
    ):
        command = option(command)
    return command


def ask(name: str, view: str, **arguments: bool) -> Any:
    """Ask the stack for a view; ClickException if no stack answers."""
    from pystack.control.server import ControlError, query

    try:
        return query(name, view, **arguments)
    except ControlError as error:
        raise click.ClickException(f"{error}; start one with `pystack up`") from None


def table(head: Sequence[str], rows: Iterable[Sequence[object]], notes: Sequence[str] = ()) -> None:
    """Print a table whose columns are as wide as their longest cell. A note is a line below its row."""
    lines = [list(head), *([("-" if cell is None or cell == "" else one_line(cell)) for cell in row] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    for number, line in enumerate(lines):
        echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())
        if number and notes and notes[number - 1]:
            echo(f"\t {one_line(notes[number - 1])}")


def show(answer: Any, as_json: bool, human: Callable[[Any], None]) -> int:
    """Print the answer as JSON or by `human`. Return the exit status."""
    if as_json:
        echo(json.dumps(answer, indent=2))
    else:
        human(answer)
    return 0


def _address(addr: str, port: int) -> str:
    return f"{'*' if addr == '0.0.0.0' else addr}:{port or '*'}"


def _timer(row: Row) -> str:
    timer = row.get("timer")
    return "" if timer is None else f"{timer['name']} {timer['ms']} ms"


def _sockets(rows: list[Row]) -> None:
    head = ("Netid", "State", "Recv-Q", "Send-Q", "Local", "Peer", "Timer")
    lines = []
    for row in rows:
        local = _address(row["local"], row["proto"] if "proto" in row else row["lport"])
        ends = local, _address(row["peer"], row["rport"])
        lines.append((row["netid"], row["state"], row["recv_q"], row["send_q"], *ends, _timer(row)))
    table(
        head, lines, [tcpinfo.line(row["info"], row.get("congestion", "")) if row.get("info") else "" for row in rows]
    )


@click.command(
    epilog="\b\nExamples:\n  pystack ss\n  pystack ss -ti        show TCP with its internal values\n  pystack ss -l -j"
)
@click.option("-t", "--tcp", is_flag=True, help="Show only TCP sockets.")
@click.option("-u", "--udp", is_flag=True, help="Show only UDP sockets.")
@click.option("-l", "--listening", is_flag=True, help="Show only listening sockets.")
@click.option("-i", "--info", is_flag=True, help="Show TCP's internal values: RTT, windows, retransmissions.")
@common
def ss(tcp: bool, udp: bool, listening: bool, info: bool, name: str, as_json: bool) -> int:
    """Show the sockets of a running stack."""
    rows: list[Row] = ask(name, "sockets", info=info)
    if tcp or udp:
        rows = [row for row in rows if row["netid"] == "tcp" and tcp or row["netid"] == "udp" and udp]
    if listening:
        rows = [row for row in rows if row["state"] in ("LISTEN", "UNCONN")]
    return show(rows, as_json, _sockets)


def _neighbours(rows: list[Row]) -> None:
    head = ("Address", "Device", "MAC", "State", "Waiting")
    table(head, [(r["dst"], r["dev"], r["lladdr"], r["state"], r["waiting"]) for r in rows])


@click.command(epilog="\b\nExample:\n  pystack neigh -j")
@common
def neigh(name: str, as_json: bool) -> int:
    """Show the neighbour (ARP) table of a running stack."""
    return show(ask(name, "neighbours"), as_json, _neighbours)


def _connections(rows: list[Row]) -> None:
    for row in rows:
        words = [f"{row['proto']:<8} {row['timeout']:>6}"]
        if row["state"]:
            words.append(f"{row['state']:<11}")
        for way, flag in (("original", "" if row["replied"] else "[UNREPLIED]"), ("reply", "")):
            words += [f"{name}={value}" for name, value in row[way].items()]
            words += [flag] if flag else []
        if row["assured"]:
            words.append("[ASSURED]")
        echo(one_line(" ".join([*words, f"mark={row['mark']}"])))


@click.command(
    epilog="\b\nExamples:\n  pystack conntrack              the table of a running stack\n"
    "  pystack conntrack run.pytrace  the tables of all hosts at the end of a recording"
)
@click.argument("recording", required=False, type=click.Path(exists=True, dir_okay=False))
@common
def conntrack(recording: str | None, name: str, as_json: bool) -> int:
    """Show the tracked connections of a running stack, or of each host at the end of a RECORDING.

    The lines have the form of `conntrack -L`. For each direction they show the addresses and ports, and the packets and bytes.
    """
    if recording is None:
        return show(ask(name, "conntrack"), as_json, _connections)
    answer = recorded(recording, "conntrack")
    if as_json:
        echo(json.dumps(answer, indent=2))
        return 0
    for host, rows in answer.items():
        echo(f"# {one_line(host)}: {len(rows)} connections")
        _connections(rows)
    return 0


def recorded(path: str, view: str) -> dict[str, Any]:
    """Return a view of each host at the end of a recording. ClickException if the recording cannot be replayed."""
    from pystack.control.views import VIEWS
    from pystack.trace.errors import TraceError
    from pystack.trace.replay import Replay, ReplayMismatch

    try:
        player = Replay(path, partial=True)
        player.run()
    except (TraceError, ReplayMismatch) as error:
        raise click.ClickException(str(error)) from None
    return {host.stack.name: VIEWS[view](host.stack) for host in player.hosts}


def _routes(rows: list[Row]) -> None:
    head = ("Destination", "Gateway", "Device", "Metric", "Source", "Type", "Table")
    lines = []
    for r in rows:
        for hop in r.get("nexthops", [r]):
            lines.append((r["dst"], hop["gateway"], hop["dev"], r["metric"], r["src"], r["type"], r["table"]))
    table(head, lines)


@click.command(epilog="\b\nExample:\n  pystack route")
@common
def route(name: str, as_json: bool) -> int:
    """Show the routing table of a running stack."""
    return show(ask(name, "routes"), as_json, _routes)


def _addresses(rows: list[Row]) -> None:
    for row in rows:
        state = "up" if row["up"] else "down"
        echo(f"{row['ifindex']}: {row['ifname']}: {state}, MTU {row['mtu']}, {row['link_type']} {row['address']}")
        for own in row["addr_info"]:
            echo(f"    inet {own['local']}/{own['prefixlen']}")
        offload = f"checksum {'on' if row['tx_csum'] else 'off'}, segmentation {row['gso_max'] or 'off'}"
        echo(f"    offload: {offload}")
        echo(f"    rx {row['rx_frames']} frames, {row['rx_bytes']} bytes")
        echo(f"    tx {row['tx_frames']} frames, {row['tx_bytes']} bytes")


@click.command(epilog="\b\nExample:\n  pystack addr -n other")
@common
def addr(name: str, as_json: bool) -> int:
    """Show the interfaces and addresses of a running stack."""
    return show(ask(name, "addresses"), as_json, _addresses)


def _counters(answer: dict[str, dict[str, int]]) -> None:
    table(("Counter", "Value"), list(answer["counters"].items()))
    if answer["drops"]:
        echo()
        table(("Dropped because", "Frames"), list(answer["drops"].items()))


@click.command(epilog="\b\nExamples:\n  pystack counters\n  watch pystack counters")
@common
def counters(name: str, as_json: bool) -> int:
    """Show the counters of a running stack that are not zero, and why it dropped frames."""
    return show(ask(name, "counters"), as_json, _counters)
