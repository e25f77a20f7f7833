"""Dissection: every header of a frame as a tree of fields, with offsets, bits and meaning, declared with `construct`.

    tree = dissect(frame)
    tree.find("tcp.flags.syn").value
    print(hex_text(frame, tree.find("ip.ttl")))

Nothing that comes from the wire makes it raise: what is cut off or impossible is a node named `_ws.malformed` after the
fields that are there. The names are Wireshark's, and so are the places: the tests compare them with tshark's own.
"""

from pystack.stepper.dissect.frame import dissect
from pystack.stepper.dissect.tree import MALFORMED, Cell, Node, Tree, hex_rows, hex_text

__all__ = ["MALFORMED", "Cell", "Node", "Tree", "dissect", "hex_rows", "hex_text"]
