"""`pystack net`: networks in files."""

import click

from pystack.cli.netfiles import open_file, running, summary
from pystack.cli.netup import exec_, up
from pystack.style import echo
from pystack.visible import visible

EXAMPLES = """\b
FILE is Python. Its function `network` returns a pystack.sim.Network, and its dicts `programs` and
`background` name the functions that run on the hosts:
  def network(seed=1):
      net = Network(seed)
      net.link(net.host("client"), net.host("web"), addrs=("10.0.0.1/24", "10.0.0.2/24"), delay=5 * MS)
      return net
  programs = {"client": get}
  background = {"web": serve}

\b
Examples:
  pystack net show shop.py
  pystack net run shop.py --seed 7 --write run.pcapng
  pystack run --sim shop.py --host client -- python client.py http://web/
"""


@click.group(epilog=EXAMPLES)
def net() -> None:
    """Run or show a simulated network that a file describes, or let it be up in real time."""


@net.command()
@click.argument("file")
@click.option(
    "--seed", type=click.IntRange(min=0), help="The network's seed; the function `network` needs the parameter `seed`."
)
@click.option("--write", metavar="FILE", help="Write a pcapng capture of all hosts with the reasons as comments.")
@click.option("--record", metavar="FILE", help="Record the simulated hosts into this file, for `pystack step`.")
@click.option("--real-time", is_flag=True, help="Let time pass as in reality, to watch the programs.")
def run(file: str, seed: int | None, write: str | None, record: str | None, real_time: bool) -> int:
    """Run the programs of FILE until they have ended, and print what they returned and what the links did.

    Time is virtual, unless the network has kernel hosts (Network.kernel). The exit status is 1 if a command on a kernel host failed.
    """
    found = open_file(file, seed, record)
    with running(found, write):
        results = found.run(real_time=real_time)
    for host, values in results.items():
        for value in values:
            if value is not None:
                echo(visible(f"{host}: {value!r}"))
    for line in summary(found.net):
        echo(line)
    return int(any(results[host] != [0] * len(results[host]) for host in results if host in found.net.kernels))


@net.command()
@click.argument("file")
@click.option("--svg", metavar="FILE", help="Write the drawing to this file as SVG instead.")
def show(file: str, svg: str | None) -> int:
    """Draw the network of FILE as text: nodes, links with their faults, addresses and routes."""
    from pystack.sim.drawing import draw
    from pystack.sim.svg import svg as draw_svg

    found = open_file(file, None).net
    try:
        if svg is None:
            echo(draw(found))
        else:
            with open(svg, "w", encoding="utf-8") as out:
                out.write(draw_svg(found))
    except OSError as error:
        raise click.ClickException(f"{svg}: {error.strerror}") from None
    finally:
        found.close()
    return 0


net.add_command(up)
net.add_command(exec_)
