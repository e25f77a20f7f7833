"""Dissection: every header of a frame as a tree of fields, with offsets, bits and meaning, declared with `construct`.

    tree = dissect(frame)
    tree.find("tcp.flags.syn").value
    print(hex_text(frame, tree.find("ip.ttl")))

No bytes from the wire make it raise an exception. If a header is cut off or impossible, a node named `_ws.malformed`
follows the fields that are there. The names and places are Wireshark's: the tests compare them with tshark's output.
"""

from pystack.stepper.dissect.frame import dissect
from pystack.stepper.dissect.tree import MALFORMED, Cell, Node, Tree, hex_rows, hex_text

__all__ = ["MALFORMED", "Cell", "Node", "Tree", "dissect", "hex_rows", "hex_text"]
