"""`pystack traceroute`."""

import os
import time
from typing import Any

import click

from pystack.cli import icmp
from pystack.cli.common import AddressType, Settings, bring_up, stack_options
from pystack.style import echo

EXAMPLES = """\b
Example:
  pystack traceroute -a 10.0.0.2/24 --gateway 10.0.0.1 --netns lab 10.9.0.1
"""


def probe(sock: Any, target: str, ident: int, seq: int, timeout: float) -> tuple[str, float, icmp.Message] | None:
    """Send one echo request and return (address that answered, milliseconds, message).

    Return None if no answer came in `timeout` seconds.
    """
    start = time.monotonic()
    sock.sendto(icmp.echo(ident, seq, bytes(32)), (target, 0))
    while (left := start + timeout - time.monotonic()) > 0:
        sock.settimeout(left)
        try:
            packet, (source, _) = sock.recvfrom(65535)
        except TimeoutError:
            break
        message = icmp.parse(packet)
        if message is not None and (message.ident, message.seq) == (ident, seq) and message.kind != icmp.ECHO:
            return source, (time.monotonic() - start) * 1000, message
    return None


@click.command(epilog=EXAMPLES)
@click.argument("target", type=AddressType(False))
@click.option("-m", "--max-hops", type=click.IntRange(1, 255), default=30, show_default=True, help="Largest TTL.")
@click.option(
    "-q", "--queries", type=click.IntRange(1, 10), default=3, show_default=True, help="Number of probes for each hop."
)
@click.option(
    "-w", "--wait", type=click.FloatRange(0.001), default=1.0, show_default=True, help="Seconds to wait for an answer."
)
@stack_options
def traceroute(settings: Settings, target: str, max_hops: int, queries: int, wait: float) -> int:
    """Start a stack and show the path of its ICMP echo requests to TARGET.

    Each hop is the router that sent "time exceeded" (RFC 792) for packets with that TTL. The exit status is 0 if TARGET answered.
    """
    from pystack import socket

    ident = os.getpid() & 0xFFFF
    with bring_up(settings) as running:
        with running.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as sock:
            echo(f"traceroute to {target}, {max_hops} hops max, 60 byte packets")
            seq = 0
            for ttl in range(1, max_hops + 1):
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
                last = ""
                arrived = refused = False
                echo(f"{ttl:2} ", nl=False)
                for _ in range(queries):
                    seq += 1
                    try:
                        answer = probe(sock, target, ident, seq, wait)
                    except OSError as error:
                        echo(f" {error.strerror or error}", nl=False)
                        refused = True
                        break
                    if answer is None:
                        echo(" *", nl=False)
                        continue
                    source, ms, message = answer
                    echo(("" if source == last else f" {source} ") + f" {ms:.3f} ms", nl=False)
                    last = source
                    arrived |= message.kind == icmp.ECHO_REPLY
                    if message.kind == icmp.UNREACHABLE:
                        echo(f" !{message.code}", nl=False)
                        refused = True
                echo()
                if arrived or refused:
                    return 0 if arrived else 1
    return 1
