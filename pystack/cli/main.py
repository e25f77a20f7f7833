"""The command's entry point and its list of subcommands."""

import importlib
import signal
import sys
from typing import Any, NoReturn

import pystack

try:
    import click
except ImportError:
    sys.exit("pystack: the command line needs click: pip install 'pystack[cli]'")

from pystack.style import echo  # noqa: E402 (click is there)
from pystack.visible import visible  # noqa: E402

# name -> (where it is, what `pystack --help` says of it); nothing is imported before it is used
COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("pystack.cli.demo:demo", "A real ping and a real curl against the stack, each frame explained."),
    "up": ("pystack.cli.up:up", "Run a host on a TAP or TUN device, with services."),
    "ping": ("pystack.cli.ping:ping", "Send ICMP echo requests from the stack."),
    "traceroute": ("pystack.cli.traceroute:traceroute", "Show the path of packets from the stack."),
    "replay": ("pystack.cli.replay:replay", "Run a recording again and compare it to the byte."),
    "step": ("pystack.cli.step:step", "Step through a recording or a scenario, forwards and backwards."),
    "plot": ("pystack.cli.plot:plot", "Plots of a recording or scenario, into .png or .svg files."),
    "pkt": ("pystack.cli.pkt:pkt", "Run packetdrill scripts against the stack, in virtual time."),
    "ss": ("pystack.cli.views:ss", "Sockets of a running stack."),
    "neigh": ("pystack.cli.views:neigh", "Neighbour (ARP) table of a running stack."),
    "route": ("pystack.cli.views:route", "Routing table of a running stack."),
    "addr": ("pystack.cli.views:addr", "Interfaces and addresses of a running stack."),
    "counters": ("pystack.cli.views:counters", "Counters of a running stack, and what it dropped and why."),
    "ctl": ("pystack.cli.ctl:ctl", "Step a stack that was started with `pystack up --step`."),
    "compiled": ("pystack.cli.compiled:compiled", "Which modules of the core run compiled."),
}

EXAMPLES = """\b
Examples:
  pystack demo                                    see it work, frame by frame
  pystack up --tap tap0 --address 10.0.0.2/24 --serve http:80
  pystack ss                                      its sockets, from another terminal
  PYSTACK_PURE=1 pystack demo                     the same, on the uncompiled core

Exit status: 0 done, 1 something failed, 2 wrong usage or something missing.
"""


class LazyGroup(click.Group):
    """A group that imports a subcommand when it is asked for, not before."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order in which to read them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(module), name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in --help, without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


def version_text() -> str:
    """The version, and which build of the core runs."""
    states = pystack.compiled().values()
    return f"pystack {pystack.__version__} ({sum(states)} of {len(states)} core modules compiled)"


def _version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        echo(version_text())
        ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]}, epilog=EXAMPLES)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version and exit."
)
def cli() -> None:
    """A TCP/IP stack one can read, run, step through and take apart."""


class Terminated(BaseException):
    """SIGTERM or SIGHUP arrived: unwinds the stack as Ctrl-C does, so that everything is cleaned up."""

    def __init__(self, signum: int):
        self.signum = signum


def _on_signal(signum: int, frame: object) -> NoReturn:
    raise Terminated(signum)


def main(argv: list[str] | None = None) -> None:
    """Run the command; errors are one line, not a traceback."""
    for signum in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, _on_signal)
    try:
        result: Any = cli.main(args=argv, prog_name="pystack", standalone_mode=False)
        # click hands over what ctx.exit() was given, or what the command returned
        status = result if isinstance(result, int) else 0
    except click.exceptions.Abort:
        status = 128 + signal.SIGINT
    except click.ClickException as error:
        vars(error)["message"] = visible(error.message)
        error.show()
        status = error.exit_code
    except KeyboardInterrupt:
        status = 128 + signal.SIGINT
    except Terminated as error:
        status = 128 + error.signum
    except BrokenPipeError:
        # whoever read our output has seen enough (pystack ... | head)
        sys.stderr.close()
        status = 1
    except OSError as error:
        print(visible(f"pystack: {error}"), file=sys.stderr)
        status = 1
    try:
        sys.stdout.flush()
    except OSError:
        pass
    sys.exit(status)
