"""A network as SVG: a box for each node with its addresses and routes, and a line for each link.

The boxes are in columns by their distance from the first host, so the file is the same each time.
"""

from typing import NamedTuple
from xml.etree import ElementTree as Xml

from pystack.sim.drawing import KINDS, addresses_of, faults_of, nodes_of, routes_of
from pystack.sim.network import Network
from pystack.sim.nodes import Node

#: sizes in pixels: a character of a box and one of a line's label, a line of text, the least space between columns, between boxes, and around all
CHAR, SMALL, LINE, GAP, SPACE, EDGE = 7, 6, 16, 50, 30, 20
COLOURS = {"KernelHost": "#fff3d6", "ContainerHost": "#e3f1e3", "Switch": "#eeeeee", "Wire": "#eeeeee"}


class Box(NamedTuple):
    """A node at its place."""

    x: int
    y: int
    width: int
    height: int
    lines: list[str]

    def side(self, right: bool) -> tuple[int, int]:
        """The middle of its right or left side."""
        return self.x + (self.width if right else 0), self.y + self.height // 2


def svg(net: Network) -> str:
    """The text of the file."""
    boxes = _places(net)
    width = max((box.x + box.width for box in boxes.values()), default=0) + EDGE
    height = max((box.y + box.height for box in boxes.values()), default=0) + EDGE
    root = Xml.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "width": str(width),
            "height": str(height),
            "viewBox": f"0 0 {width} {height}",
            "font-family": "monospace",
            "font-size": "12",
        },
    )
    Xml.SubElement(root, "rect", {"width": "100%", "height": "100%", "fill": "white"})
    for link in net.links.values():
        _line(root, boxes[link.a.node.name], boxes[link.b.node.name], faults_of(link, link.a))
    for node in nodes_of(net):
        _box(root, boxes[node.name], COLOURS.get(type(node).__name__, "#dfe9f7"))
    Xml.indent(root)
    return Xml.tostring(root, encoding="unicode") + "\n"


def _lines(node: Node) -> list[str]:
    kind = KINDS.get(type(node).__name__, "")
    lines = [f"{node.name} ({kind})" if kind else node.name]
    lines += [f"{port.name} {address}" for port in node.ports for address in addresses_of(port)]
    return lines + [f"route {route}" for route in routes_of(node)]


def _places(net: Network) -> dict[str, Box]:
    """The boxes by the names of their nodes."""
    nodes = {node.name: node for node in nodes_of(net)}
    columns: dict[int, list[Node]] = {}
    for name, column in _columns(net).items():
        columns.setdefault(column, []).append(nodes[name])
    found: dict[str, Box] = {}
    x, gap = EDGE, _gap(net)
    for column in sorted(columns):
        y = EDGE
        widest = 0
        for node in columns[column]:
            lines = _lines(node)
            width, height = max(map(len, lines)) * CHAR + 16, len(lines) * LINE + 12
            found[node.name] = Box(x, y, width, height, lines)
            y += height + SPACE
            widest = max(widest, width)
        x += widest + gap
    return found


def _gap(net: Network) -> int:
    """The space between two columns, which the longest label of a link fits in."""
    longest = max((len(faults_of(link, link.a)) for link in net.links.values()), default=0)
    return max(GAP, longest * SMALL + LINE)


def _columns(net: Network) -> dict[str, int]:
    """How many links each node is away from the first one of its part of the network."""
    near: dict[str, list[str]] = {node.name: [] for node in nodes_of(net)}
    for link in net.links.values():
        near[link.a.node.name].append(link.b.node.name)
        near[link.b.node.name].append(link.a.node.name)
    found: dict[str, int] = {}
    for first in near:
        todo = [] if first in found else [first]
        found.setdefault(first, 0)
        for name in todo:
            for other in near[name]:
                if other not in found:
                    found[other] = found[name] + 1
                    todo.append(other)
    return found


def _line(root: Xml.Element, a: Box, b: Box, label: str) -> None:
    """A link from box to box, with its faults above the middle."""
    if b.x < a.x:
        a, b = b, a
    (x1, y1), (x2, y2) = (a.side(True), b.side(False)) if a.x != b.x else (a.side(True), b.side(True))
    ends = {"x1": x1, "y1": y1, "x2": x2, "y2": y2}
    Xml.SubElement(root, "line", {**{name: str(value) for name, value in ends.items()}, "stroke": "#555555"})
    if label:
        place = {"x": str((x1 + x2) // 2), "y": str((y1 + y2) // 2 - 4), "text-anchor": "middle", "font-size": "10"}
        Xml.SubElement(root, "text", place).text = label


def _box(root: Xml.Element, box: Box, colour: str) -> None:
    place = {"x": box.x, "y": box.y, "width": box.width, "height": box.height, "rx": 4}
    Xml.SubElement(
        root, "rect", {**{name: str(value) for name, value in place.items()}, "fill": colour, "stroke": "#333333"}
    )
    for number, line in enumerate(box.lines):
        attributes = {"x": str(box.x + 8), "y": str(box.y + (number + 1) * LINE)}
        if number == 0:
            attributes["font-weight"] = "bold"
        Xml.SubElement(root, "text", attributes).text = line
