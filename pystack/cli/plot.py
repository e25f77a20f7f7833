"""`pystack plot`: draws a recording or a scenario into a file."""

import os

import click

from pystack.cli.faces import drawing
from pystack.stepper.plot.figures import KINDS, draw

EXAMPLES = (
    "\b\nKinds:\n"
    + "\n".join(f"  {name:<11} {text}" for name, text in KINDS.items())
    + """

\b
Examples:
  pystack plot loss-fast-retransmit --kind sequence -o loss.svg
  pystack plot run.pytrace --kind cwnd --connection 10.0.0.2:80 -o cwnd.png
  pystack plot http-get --kind ladder --frames 1-12 -o http-get.png
  pystack plot time-wait --kind ladder --to-scale -o time-wait.svg
"""
)


@click.command(epilog=EXAMPLES)
@click.argument("source", metavar="FILE|SCENARIO")
@click.option("--kind", type=click.Choice(list(KINDS)), default="sequence", show_default=True, help="What to draw.")
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="FILE",
    help="File to write; its ending chooses the format: .png, .svg or .pdf.",
)
@click.option(
    "--connection",
    metavar="TEXT",
    help="Connection to draw: a part of its host and addresses.  [default: the one that sent most]",
)
@click.option("--frames", default="", metavar="FIRST-LAST", help="Frames that a ladder shows.  [default: the first 30]")
@click.option("--to-scale", is_flag=True, help="Draw a ladder's rows at distances proportional to the time.")
@click.option("--trusted", is_flag=True, help="Set no limits on the recording's size and on what it creates.")
def plot(
    source: str, kind: str, output: str, connection: str | None, frames: str, to_scale: bool, trusted: bool
) -> None:
    """Draw a plot of a recording, or of the scenario with that name."""
    if os.path.splitext(output)[1] not in (".png", ".svg", ".pdf"):
        raise click.BadParameter("the file name must end in .png, .svg or .pdf", param_hint="--output")
    from pystack.cli.scenario import scenario_errors, scenario_of
    from pystack.stepper.timeline import Timeline
    from pystack.trace.errors import TraceError

    try:
        scenario = scenario_of(source)
        if scenario is None:
            timeline = Timeline.load(source, trusted=trusted)
        else:
            with scenario_errors(source):
                timeline = scenario.timeline()
        with drawing():
            draw(timeline, kind, output, connection=connection, frames=frames, to_scale=to_scale)
    except (TraceError, ValueError) as error:
        raise click.ClickException(str(error)) from None
