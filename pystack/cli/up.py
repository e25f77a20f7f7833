"""`pystack up`."""

import signal
import sys
import threading
from typing import Any

import click

from pystack.cli.common import Settings, bring_up, stack_options
from pystack.style import echo
from pystack_c.base.address import addr_text, v4

EXAMPLES = """\b
Examples:
  pystack up --kernel-address 10.0.0.1/24 -a 10.0.0.2/24 --serve http:80 --serve echo:7
  curl http://10.0.0.2/                                     from another terminal
  pystack up --gateway 10.0.0.1 -a 10.0.0.2/24 --serve http:80 --shell        then `curl http://10.0.0.2/` in that shell
  pystack up --netns lab --tap tap1 --dhcp                  the address comes from a DHCP server
  pystack up --netns lab --tap tap1 -a 10.0.0.2/24 -v       explain each frame
  pystack up -a 10.0.0.2/24 --kernel-address 10.0.0.1/24 --delay 50ms --loss 1%
  pystack up -a 10.0.0.2/24 --kernel-address 10.0.0.1/24 --serve http:80 --nft rules.nft
  pystack up --tun -a 10.0.0.2/24 --kernel-address 10.0.0.1/24 --mtu 9000
  pystack up -a 10.0.0.2/24 --write - | wireshark -k -i -
  pystack up -a 10.0.0.2/24 --kernel-address 10.0.0.1/24 --step    then `ping 10.0.0.2` from another terminal
"""


def check_services(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse an unknown service before anything is created."""
    from pystack import services

    for spec in value:
        try:
            services.parse(spec)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None
    return value


def introduce(settings: Settings, running: Any, started: list[Any]) -> None:
    """Print what runs, to stderr because stdout may be a capture."""
    where = "" if settings.netns is None else f" in namespace {settings.netns}"
    addresses = list(settings.address)
    if running.dhcp is not None:
        lease = running.dhcp.lease
        addresses.insert(
            0, "an address by DHCP" if lease is None else f"{addr_text(v4(lease.addr))}/{lease.prefixlen} (DHCP)"
        )
    echo(
        f"{running.name}: {', '.join(addresses)} on {running.iface.name}{where}, "
        f"MTU {running.iface.mtu}, seed {running.stack.seed}; press Ctrl-C to stop",
        err=True,
    )
    if _made(running.device):
        echo(
            f"  {running.iface.name} did not exist, so pystack made it; it is removed when pystack stops",
            err=True,
        )
    if running.link is not None:
        echo(f"  link: {running.link.link_text()}; offload is off", err=True)
    for service in started:
        echo(f"  {service!r}", err=True)


def _made(device: Any) -> bool:
    """Return whether a device, or the one that it wraps, is a TAP that did not exist before."""
    while hasattr(device, "device"):
        device = device.device
    return bool(getattr(device, "made", False))


def _refused(error: Exception) -> click.exceptions.Exit:
    """Print an error of the rules as it is, because it begins with a place or with "Error:", and a mark stands under the place."""
    echo(str(error), err=True)
    return click.exceptions.Exit(1)


def read_filter(path: str) -> Any:
    """Read a file of nft's language before anything is created. ClickException if it has an error."""
    from pystack.nft import LarkMissing, RulesetError, read_path

    try:
        return read_path(path)
    except LarkMissing as error:
        raise click.ClickException(str(error)) from None
    except RulesetError as error:
        raise _refused(error) from None


def load_filter(rules: Any, host: Any) -> None:
    """Load the rules into the stack. ClickException if the stack does not support one of them."""
    from pystack.nft import RulesetError

    try:
        rules.run(lambda commands: host.setup("nft", commands))
    except RulesetError as error:
        raise _refused(error) from None


def wait_for_the_end(host: Any) -> None:
    """Wait until Ctrl-C, or until the stack stops by itself."""
    pause = threading.Event()
    while host.failure is None and not (host.gate is not None and host.gate.quit):
        pause.wait(1 if host.gate is None else 0.1)


@click.command(epilog=EXAMPLES)
@click.option(
    "--serve",
    multiple=True,
    metavar="SERVICE:PORT",
    callback=check_services,
    help="Serve http, hello, echo, discard, chargen or daytime over TCP and UDP, or over one of them with /tcp or /udp; repeatable.",
)
@click.option(
    "--step", is_flag=True, help="Hold the stack at each frame with its clock stopped; see `pystack ctl step`."
)
@click.option(
    "--shell",
    is_flag=True,
    help="Run a shell where the stack can be reached: in the network namespace of the kernel's side; `exit` ends both.",
)
@click.option(
    "--nft", "filters", metavar="FILE", help="Load the packet filter from a file in nft's language; see `pystack nft`."
)
@stack_options
def up(settings: Settings, serve: tuple[str, ...], step: bool, shell: bool, filters: str | None) -> int:
    """Run a host on a TAP or TUN device until Ctrl-C.

    The kernel's side of the device is in the current network namespace, or in the one that --netns names.
    Creating the device needs root or a user namespace (`unshare -Urn`). While the host runs, `pystack ss` and the other views
    show its state.
    """
    from pystack import services
    from pystack.cli.shell import explain, run_shell

    if shell and (step or settings.write == "-"):
        raise click.UsageError(f"--shell and {'--step' if step else '--write -'} both need the terminal")
    gate, status = None, 0
    if step:
        from pystack.stepper.live import StepGate

        gate = StepGate()
    rules = None if filters is None else read_filter(filters)
    with bring_up(settings, control=True, gate=gate) as running:
        if rules is not None:
            load_filter(rules, running.host)
        started = services.start(*serve, host=running.host)
        try:
            introduce(settings, running, started)
            if not shell:
                explain(settings)
            if shell:
                status = run_shell(settings, running)
            elif gate is not None and sys.stdin.isatty():
                from pystack.cli.ctl import prompt

                prompt(gate, running.host, err=settings.write == "-")
            else:
                wait_for_the_end(running.host)
        except KeyboardInterrupt:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # a second Ctrl-C ends the program at once
        finally:
            if gate is not None:
                gate.end()
            for service in started:
                service.close()
        if running.host.failure is not None:
            echo(f"pystack: the stack stopped: {running.host.failure!r}", err=True)
            return 1
    return status
