"""`pystack ping`."""

import os
import time
from typing import Any

import click

from pystack.cli import icmp
from pystack.cli.common import AddressType, Settings, bring_up, stack_options
from pystack.style import echo

EXAMPLES = """\b
Examples:
  pystack ping -a 10.0.0.2/24 --kernel-address 10.0.0.1/24 10.0.0.1
  pystack ping -a 10.0.0.2/24 --netns lab --tap tap1 -c 10 -i 0.1 10.0.0.1
"""
_REASONS = {icmp.UNREACHABLE: "Destination unreachable", icmp.TIME_EXCEEDED: "Time exceeded"}


class Pinger:
    """Sends echo requests and matches the replies to them."""

    def __init__(self, sock: Any, target: str, size: int):
        self.sock = sock
        self.target = target
        self.size = size
        self.ident = os.getpid() & 0xFFFF
        self.sent = 0
        self.received = 0
        self.times: list[float] = []

    def one(self, seq: int, timeout: float) -> None:
        """Send one request and print its reply; wait at most `timeout` seconds for it."""
        payload = bytes(i & 255 for i in range(self.size))
        start = time.monotonic()
        self.sent += 1
        try:
            self.sock.sendto(icmp.echo(self.ident, seq, payload), (self.target, 0))
        except OSError as error:
            echo(f"ping: {error.strerror or error}")
            return
        while True:
            left = start + timeout - time.monotonic()
            if left <= 0:
                echo(f"no answer to icmp_seq={seq} within {timeout:g} s")
                return
            self.sock.settimeout(left)
            try:
                packet, (source, _) = self.sock.recvfrom(65535)
            except TimeoutError:
                continue
            except OSError as error:
                echo(f"From the stack: icmp_seq={seq} {error.strerror or error}")
                return
            if self._answer(icmp.parse(packet), source, seq, (time.monotonic() - start) * 1000, payload):
                return

    def _answer(self, message: icmp.Message | None, source: str, seq: int, ms: float, payload: bytes) -> bool:
        if message is None or (message.ident, message.seq) != (self.ident, seq) or message.kind == icmp.ECHO:
            return False
        if message.kind != icmp.ECHO_REPLY:
            reason = _REASONS.get(message.kind, f"ICMP type {message.kind}")
            echo(f"From {source} icmp_seq={seq} {reason} (code {message.code})")
            return True
        if message.payload != payload:
            echo(f"From {source} icmp_seq={seq}: the reply's data differs from the data that was sent")
            return True
        self.received += 1
        self.times.append(ms)
        echo(f"{message.length} bytes from {source}: icmp_seq={seq} ttl={message.ttl} time={ms:.3f} ms")
        return True

    def summary(self) -> None:
        """Print the statistics, as ping(8) does at the end."""
        lost = 100 * (self.sent - self.received) / self.sent if self.sent else 0
        echo(f"\n--- {self.target} ping statistics ---")
        echo(f"{self.sent} packets transmitted, {self.received} received, {lost:g}% packet loss")
        if self.times:
            mean = sum(self.times) / len(self.times)
            echo(f"rtt min/avg/max = {min(self.times):.3f}/{mean:.3f}/{max(self.times):.3f} ms")


@click.command(epilog=EXAMPLES)
@click.argument("target", type=AddressType(False))
@click.option(
    "-c",
    "--count",
    type=click.IntRange(0),
    default=3,
    show_default=True,
    help="Number of requests; 0 sends without end.",
)
@click.option(
    "-i", "--interval", type=click.FloatRange(0), default=1.0, show_default=True, help="Seconds between two requests."
)
@click.option(
    "-s", "--size", type=click.IntRange(0, 65507), default=56, show_default=True, help="Payload size in bytes."
)
@click.option("-t", "--ttl", type=click.IntRange(1, 255), help="Time to live of the requests.")
@click.option(
    "-W", "--timeout", type=click.FloatRange(0.001), default=2.0, show_default=True, help="Seconds to wait for a reply."
)
@stack_options
def ping(
    settings: Settings, target: str, count: int, interval: float, size: int, ttl: int | None, timeout: float
) -> int:
    """Start a stack and send ICMP echo requests from it to TARGET.

    The exit status is 0 if at least one reply arrived, as for ping(8).
    """
    from pystack import socket

    with bring_up(settings) as running:
        with running.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as sock:
            if ttl is not None:
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
            pinger = Pinger(sock, target, size)
            echo(f"PING {target} {size}({size + 28}) bytes of data.")
            seq = 0
            try:
                while count == 0 or seq < count:
                    seq += 1
                    start = time.monotonic()
                    pinger.one(seq, timeout)
                    if seq != count:
                        time.sleep(max(0.0, start + interval - time.monotonic()))
            except KeyboardInterrupt:
                pass
            pinger.summary()
    return 0 if pinger.received else 1
