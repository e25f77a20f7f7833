"""`pystack ctl`: `step` here, `link` in link.py, and the prompt of `pystack up --step`."""

import json
import time
from typing import TYPE_CHECKING, Any

import click

from pystack.cli.link import link
from pystack.style import echo

if TYPE_CHECKING:
    from pystack.stepper.live import StepGate

EXAMPLES = """\b
Examples:
  pystack ctl step                       let the held frame pass and show the next one
  pystack ctl step n 5                   let five frames pass
  pystack ctl step b 'tcb.cwnd < 5000'   set a breakpoint, as in `pystack step`
  pystack ctl step c                     continue until a breakpoint stops the stack
  pystack ctl step p                     show the frame that is held
  pystack ctl step d 1 / q               delete a breakpoint / end the stack
  pystack ctl link delay 100ms loss 5%   change the link of a stack that has one
"""
#: commands that let frames pass: the answer shows the next frame that is held
GOING = ("", "s", "step", "next", "n", "c", "continue")


def prompt(gate: "StepGate", host: Any, err: bool = False) -> None:
    """Ask for a command at each held frame, until `q`, Ctrl-D or the end of the stack."""
    from pystack.stepper.live import HELP

    echo(HELP, err=err)
    seen = 0
    while host.failure is None and not gate.quit:
        held = gate.wait(seen, 0.2)
        if held is None:
            continue
        seen = held.number
        for line in gate.take_passed():
            echo(line, err=err)
        echo(held.text(), err=err)
        while gate.held is held:
            try:
                echo("(step) ", nl=False, err=err)
                line = input()
            except EOFError:
                line = "q"
            said = gate.command(line)
            if said:
                echo(said, err=err)


@click.group(epilog=EXAMPLES)
def ctl() -> None:
    """Control a running stack: step one that was started with `pystack up --step`, or change the link of one.

    `pystack ctl link --help` has the settings of a link.
    """


ctl.add_command(link)


@ctl.command(epilog=EXAMPLES, context_settings={"ignore_unknown_options": True})
@click.argument("command", nargs=-1)
@click.option("-n", "--name", default="pystack", show_default=True, help="Name of the running stack.")
@click.option("-w", "--wait", default=5.0, show_default=True, help="Seconds to wait for the next frame to be held.")
@click.option("-j", "--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def step(command: tuple[str, ...], name: str, wait: float, as_json: bool) -> int:
    """Send a command to a stack that is held at each frame, and show the frame that it holds then.

    The exit status is 1 if no frame is held within the time of --wait.
    """
    from pystack.control.server import ControlError
    from pystack.control.server import step as ask

    text = " ".join(command)
    try:
        before = ask(name, look=True)
        answer = ask(name, text)
        going = not command or command[0] in GOING
        held = None if before["held"] is None else before["held"]["number"]
        limit = time.monotonic() + wait
        # The frame that was just released may still be at the gate.
        while going and (answer["held"] is None or answer["held"]["number"] == held) and time.monotonic() < limit:
            time.sleep(0.01)
            answer = {**ask(name, look=True), "said": answer["said"]}
    except ControlError as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        echo(json.dumps(answer))
    else:
        _show(answer, going)
    return 1 if going and answer["held"] is None else 0


def _show(answer: dict[str, Any], going: bool) -> None:
    if answer["said"]:
        echo(answer["said"])
    if not going:
        return
    for line in answer["passed"]:
        echo(line)
    if answer["held"] is None:
        echo("no frame is held")
    else:
        echo(answer["held"]["text"])
