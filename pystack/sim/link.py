"""A link of a simulated network: two channels between two ports, and the middleboxes in front of them."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pystack.sim.channel import Channel
from pystack.sim.middlebox import Middlebox
from pystack.sim.nodes import Node, SimPort

if TYPE_CHECKING:
    from pystack.sim.network import Network


class Link:
    """Two channels between two ports. `link.ab` goes from the first to the second, `link.ba` back."""

    def __init__(self, net: "Network", name: str, a: SimPort, b: SimPort, ab: Channel, ba: Channel):
        self.net = net
        self.name = name
        self.a = a
        self.b = b
        self.ab = ab
        self.ba = ba

    def channels(self) -> Iterator[Channel]:
        """Both directions."""
        yield self.ab
        yield self.ba

    def set(self, **settings: object) -> None:
        """Change settings of both directions (see Channel)."""
        for channel in self.channels():
            channel.set(**settings)

    def middlebox(self, box: Middlebox, near: "Node | None" = None, name: str = "") -> Middlebox:
        """Put a middlebox (see sim/boxes.py) between one end of the link, `near`, and the channels. By default, this is the first node.

        A box that is put in place later is farther away. `name` is its name in events; by default, the name of the link and its kind.
        """
        if not isinstance(box, Middlebox):
            raise TypeError(f"{box!r:.60} is no middlebox: write one of sim.boxes, such as NatTimeout(30 * S)")
        box.check_new()
        port = self.port(near)
        net = self.net
        name = net.new_box(name or f"{self.name}-{box.kind}")
        box.begin(name, net.seed, port.kind, net.box_report(name))
        port.boxes.append(box)
        return box

    def port(self, near: "Node | None" = None) -> SimPort:
        """The end of the link at a node; without a node, at the first one."""
        for port in (self.a, self.b):
            if near is None or port.node is near:
                return port
        raise ValueError(f"{near!r:.60} is no end of the link {self.name}")

    def remove(self, box: Middlebox) -> None:
        """Take a middlebox out of the link. ValueError if it is not there."""
        for port in (self.a, self.b):
            if box in port.boxes:
                port.boxes.remove(box)
                return
        raise ValueError(f"{box!r:.60} is not in the link {self.name}")

    def boxes(self) -> list[Middlebox]:
        """The middleboxes of the link, from the first node to the second one."""
        return [*self.a.boxes, *reversed(self.b.boxes)]

    def down(self) -> None:
        """Lose everything from now on. Frames that are on the way still arrive."""
        self.set(up=False)

    def restore(self) -> None:
        """End `down`."""
        self.set(up=True)
