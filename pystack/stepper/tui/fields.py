"""The chosen frame's field tree."""

from typing import TYPE_CHECKING, Any, ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.widgets import Tree
from textual.widgets.tree import TreeNode

from pystack.stepper.dissect import MALFORMED, Node
from pystack.stepper.tui.session import TerminalSession
from pystack.visible import pictures

if TYPE_CHECKING:
    from pystack.stepper.tui.app import StepperApp

#: nodes that are open at first
OPEN = {"tcp", "udp", "icmp", "icmpv6", "arp", "tcp.flags", "_ws.malformed"}


class Fields(Tree[Node]):
    """A tree with a node for each header and field. Open nodes and the chosen field stay the same from frame to frame."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "app.step('event', -1)", show=False),
        Binding("right", "app.step('event', 1)", show=False),
    ]

    def __init__(self, session: TerminalSession, *, id: str):
        super().__init__("frame", id=id)
        self.session = session
        self.open = set(OPEN)
        self.shown = -1
        self.show_root = False
        self.guide_depth = 2
        self.border_title = "Frame"

    @property
    def stepper(self) -> "StepperApp":
        """The application."""
        app: Any = self.app
        return app

    def changed(self) -> None:
        """Show the cursor's frame."""
        frame, tree = self.session.frame, self.session.tree
        index = -1 if frame is None else frame.index
        if index == self.shown:
            self._choose()
            return
        self.shown = index
        self.clear()
        if frame is None or tree is None:
            self.border_title = "Frame"
            return
        self.border_title = f"Frame {frame.number}: {frame.length} bytes"
        for layer in tree.layers:
            self._add(self.root, layer)
        self._choose()

    def _add(self, parent: TreeNode[Node], node: Node) -> None:
        words = Text(pictures(node.line), no_wrap=True)
        if node.abbrev == MALFORMED or node.meaning.startswith("WRONG"):
            words.stylize("bold red")
        if node.meaning:
            words.append(pictures(f"  {node.meaning}"), "dim")
        if not node.children:
            parent.add_leaf(words, node)
            return
        added = parent.add(words, node, expand=(node.abbrev or node.name) in self.open)
        for child in node.children:
            self._add(added, child)

    def _choose(self) -> None:
        """Move the cursor to the chosen field, if this frame has it, and open its headers."""
        wanted = self.session.node
        if wanted is None:
            return
        found = self._find(self.root, wanted)
        if found is not None and found is not self.cursor_node:
            parent = found.parent
            while parent is not None:
                parent.expand()
                parent = parent.parent
            self.call_after_refresh(self.move_cursor, found)

    def _find(self, below: TreeNode[Node], wanted: Node) -> "TreeNode[Node] | None":
        for child in below.children:
            if child.data is wanted:
                return child
            deeper = self._find(child, wanted)
            if deeper is not None:
                return deeper
        return None

    def on_tree_node_highlighted(self, event: Tree.NodeHighlighted[Node]) -> None:
        """Choose the field under the cursor."""
        if event.node.data is not None and self.has_focus:
            self.stepper.choose(event.node.data)

    def on_tree_node_expanded(self, event: Tree.NodeExpanded[Node]) -> None:
        """Remember that the node is open."""
        if event.node.data is not None:
            self.open.add(event.node.data.abbrev or event.node.data.name)

    def on_tree_node_collapsed(self, event: Tree.NodeCollapsed[Node]) -> None:
        """Remember that the node is closed."""
        if event.node.data is not None:
            self.open.discard(event.node.data.abbrev or event.node.data.name)
