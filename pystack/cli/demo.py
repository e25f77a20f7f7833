"""`pystack demo`."""

import sys

import click

from pystack.style import Style, echo

EXAMPLES = """\b
Examples:
  pystack demo                        ping, a page, 10 MB each way
  pystack demo --no-offload           every segment a frame of its own
  pystack demo --all-frames | less    nothing left out
  pystack demo --write demo.pcapng    for Wireshark, the reasons as comments
"""


@click.command(epilog=EXAMPLES)
@click.option("--size", type=click.FloatRange(0.001, 1000), default=10, show_default=True, help="Megabytes each way.")
@click.option("--no-offload", is_flag=True, help="Plain frames: no segmentation or checksum offload.")
@click.option("--seed", type=int, help="Seed of the stack's generator; random where not given.")
@click.option("--all-frames", is_flag=True, help="Show every frame of the big transfers too.")
@click.option("-q", "--quiet", is_flag=True, help="Show no frames, only the programs and the results.")
@click.option("--write", type=click.Path(dir_okay=False, writable=True), help="Write a pcapng capture as well.")
def demo(size: float, no_offload: bool, seed: int | None, all_frames: bool, quiet: bool, write: str | None) -> int:
    """A real ping and a real curl against the stack, each frame explained.

    Makes a private network namespace, brings the stack up on a TAP there, and runs the real programs from the
    kernel's side. As an ordinary user it does so inside a user namespace. Nothing is left behind.
    """
    from pystack.demo import checks

    try:
        checks.ready(sys.argv[1:])
    except checks.MissingRequirement as missing:
        echo(f"pystack demo: {missing}", err=True)
        return 2
    from pystack.demo.run import Demo, Options

    options = Options(int(size * 1_000_000), not no_offload, seed, all_frames, quiet, write)
    return 0 if Demo(options, Style()).run() else 1
