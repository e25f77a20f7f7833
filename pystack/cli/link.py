"""The options for a bad link, and `pystack ctl link`, which changes it while the stack runs."""

from typing import Any

import click

from pystack.style import echo


class LinkValue(click.ParamType):
    """A setting of a link with its unit, as text."""

    def __init__(self, setting: str, metavar: str):
        self.setting = setting
        self.name = metavar

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text; a usage error if it cannot be read."""
        from pystack.sim.live import directions

        try:
            directions({self.setting: value})
        except ValueError as error:
            self.fail(str(error).removeprefix(f"{self.setting}: "), param, ctx)
        return str(value)


LINK_OPTIONS = [
    click.option(
        "--delay", type=LinkValue("delay", "TIME"), help="Delay frames by this time each way, such as 50ms; no offload."
    ),
    click.option(
        "--jitter", type=LinkValue("jitter", "TIME"), help="Delay frames by up to this time more, in order; no offload."
    ),
    click.option(
        "--loss", type=LinkValue("loss", "PERCENT"), help="Lose so many frames each way, such as 1%; no offload."
    ),
    click.option(
        "--rate", type=LinkValue("rate", "RATE"), help="Pass at most so much each way, such as 10mbit; no offload."
    ),
    click.option(
        "--profile-link",
        type=LinkValue("profile", "NAME"),
        help="A link as lan, dsl, lte, wifi, satellite or bufferbloat, which the options above change; no offload.",
    ),
    click.option(
        "--middlebox",
        type=LinkValue("middlebox", "BOX"),
        multiple=True,
        help="Put a middlebox in front of the device, such as nat-timeout:idle=30s (see docs/howto/faults.md); repeatable; no offload.",
    ),
]


def chosen(settings: Any) -> dict[str, Any] | None:
    """The link that the options ask for, or None."""
    values = {
        "middlebox": list(settings.middlebox) or None,
        "profile": settings.profile_link,
        "delay": settings.delay,
        "jitter": settings.jitter,
        "loss": settings.loss,
        "rate": settings.rate,
    }
    return {name: value for name, value in values.items() if value is not None} or None


EXAMPLES = """\b
Examples:
  pystack ctl link                          show the settings of the link
  pystack ctl link delay 100ms loss 5%      change some of them
  pystack ctl link profile satellite        take those of a profile
  pystack ctl link middlebox nat-timeout:idle=30s
"""


@click.command(epilog=EXAMPLES)
@click.argument("changes", nargs=-1, metavar="[SETTING VALUE]...")
@click.option("-n", "--name", default="pystack", show_default=True, help="Name of the running stack.")
def link(changes: tuple[str, ...], name: str) -> None:
    """Change the link of a running stack that was started with --delay, --profile-link or another option for a link.

    The settings are delay, jitter, rate, loss, duplicate, corrupt, profile and middlebox. They hold for both directions, and for
    the frames that are sent from then on. `middlebox` replaces all middleboxes by others (with ; between them), or by none.
    """
    from pystack.control.server import ControlError
    from pystack.control.server import change_link as ask
    from pystack.sim.live import directions

    if len(changes) % 2:
        raise click.UsageError("write pairs of a setting and a value, such as: delay 100ms")
    pairs = dict(zip(changes[::2], changes[1::2], strict=True))
    if len(pairs) < len(changes) // 2:
        raise click.UsageError("a setting is named twice")
    try:
        directions(pairs)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    try:
        echo(ask(name, pairs))
    except ControlError as error:
        raise click.ClickException(str(error)) from None
