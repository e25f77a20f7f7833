"""The command's entry point and its list of subcommands."""

import importlib
import signal
import sys
from typing import Any, NoReturn

import pystack

try:
    import click
except ImportError:
    sys.exit("pystack: the command line needs the package click: pip install 'pystack[cli]'")

from pystack.style import echo  # noqa: E402 (click is installed)
from pystack.visible import visible  # noqa: E402

# name -> (module:function, its line in `pystack --help`); a module is imported when its command is used
COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("pystack.cli.demo:demo", "Run a real ping and a real curl against the stack and explain each frame."),
    "up": ("pystack.cli.up:up", "Run a host on a TAP or TUN device, with services."),
    "run": ("pystack.cli.run:run", "Run a Python program, unchanged, on a stack of its own."),
    "net": ("pystack.cli.net:net", "Run or show a simulated network that a file describes."),
    "dns": ("pystack.cli.dns:dns", "Serve DNS zones, or resolve names recursively, on a stack."),
    "proxy": ("pystack.cli.proxy:proxy", "Run a proxy or load balancer: TCP, HTTP, CONNECT or SOCKS."),
    "ping": ("pystack.cli.ping:ping", "Send ICMP echo requests from the stack."),
    "traceroute": ("pystack.cli.traceroute:traceroute", "Show the path of packets from the stack."),
    "replay": ("pystack.cli.replay:replay", "Run a recording again and compare every byte."),
    "step": ("pystack.cli.step:step", "Step through a recording or a scenario, forwards and backwards."),
    "time": ("pystack.cli.time:time", "Show where the time of a request went, span by span."),
    "plot": ("pystack.cli.plot:plot", "Draw a recording or a scenario into a .png, .svg or .pdf file."),
    "sweep": ("pystack.cli.sweep:sweep", "Run a function with many parameters and seeds, and keep each result."),
    "lab": ("pystack.cli.lab:lab", "Work through the labs of the course: predict, run, compare, and be checked."),
    "course": ("pystack.cli.course:course", "Work through the course in a browser, with an editor for the exercises."),
    "pkt": ("pystack.cli.pkt:pkt", "Run packetdrill scripts against the stack, in virtual time."),
    "ss": ("pystack.cli.views:ss", "Show the sockets of a running stack."),
    "neigh": ("pystack.cli.views:neigh", "Show the neighbour (ARP) table of a running stack."),
    "conntrack": (
        "pystack.cli.views:conntrack",
        "Show the tracked connections of a running stack, or of a recording.",
    ),
    "nft": ("pystack.cli.nft:nft", "Change or show the packet filter of a running stack, in nft's language."),
    "ip": ("pystack.cli.ip:ip", "Show and change the routes and rules of a running stack, in the words of Linux's ip."),
    "route": ("pystack.cli.views:route", "Show the routing table of a running stack."),
    "addr": ("pystack.cli.views:addr", "Show the interfaces and addresses of a running stack."),
    "counters": ("pystack.cli.views:counters", "Show the counters of a running stack, and why it dropped frames."),
    "ctl": ("pystack.cli.ctl:ctl", "Control a running stack: step it, or change its link."),
    "compiled": ("pystack.cli.compiled:compiled", "Show which modules run compiled."),
}

EXAMPLES = """\b
Examples:
  pystack demo                                    watch the stack work, frame by frame
  pystack up --tap tap0 --address 10.0.0.2/24 --serve http:80
  pystack ss                                      show its sockets, from another terminal
  PYSTACK_PURE=1 pystack demo                     run the demo on the uncompiled core

The exit status is 0 for success, 1 for a failure, and 2 for wrong usage or a missing requirement.
"""


class LazyGroup(click.Group):
    """A group that imports a subcommand only when the user calls it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, in the order in which to read them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command `cmd_name`."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(module), name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list for --help without importing any command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


def version_text() -> str:
    """Return the version, and how many modules run compiled."""
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
    """A TCP/IP stack that you can read, run, step through and take apart."""


class Terminated(BaseException):
    """SIGTERM or SIGHUP arrived. The exception unwinds the calls as Ctrl-C does, so that everything is cleaned up."""

    def __init__(self, signum: int):
        self.signum = signum


def _on_signal(signum: int, frame: object) -> NoReturn:
    raise Terminated(signum)


def main(argv: list[str] | None = None) -> None:
    """Run the command and exit. An error prints one line instead of a traceback."""
    for signum in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, _on_signal)
    try:
        result: Any = cli.main(args=argv, prog_name="pystack", standalone_mode=False)
        # click returns the argument of ctx.exit(), or the result of the command
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
        # The reader of the output has closed the pipe (pystack ... | head).
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
