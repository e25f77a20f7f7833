"""`pystack demo`."""

import sys

import click

from pystack.style import Style, echo

EXAMPLES = """\b
Examples:
  pystack demo                        run ping, fetch a page, send 10 MB each way
  pystack demo --no-offload           send every segment in a frame of its own
  pystack demo --all-frames | less    show every frame
  pystack demo --write demo.pcapng    write a capture for Wireshark with the reasons as comments
"""


@click.command(epilog=EXAMPLES)
@click.option(
    "--size", type=click.FloatRange(0.001, 1000), default=10, show_default=True, help="Megabytes to send each way."
)
@click.option("--no-offload", is_flag=True, help="Use plain frames without segmentation and checksum offload.")
@click.option("--seed", type=int, help="Seed of the stack's random generator; random by default.")
@click.option("--all-frames", is_flag=True, help="Show every frame of the large transfers, too.")
@click.option("-q", "--quiet", is_flag=True, help="Show only the programs and the results, no frames.")
@click.option("--write", type=click.Path(dir_okay=False, writable=True), help="Write a pcapng capture as well.")
def demo(size: float, no_offload: bool, seed: int | None, all_frames: bool, quiet: bool, write: str | None) -> int:
    """Run a real ping and a real curl against the stack and explain each frame.

    The demo creates a private network namespace, brings the stack up on a TAP device there, and runs the programs on the
    kernel's side. For an ordinary user it does so inside a user namespace. Afterwards it removes everything it created.
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
