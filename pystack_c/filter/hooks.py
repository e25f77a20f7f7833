"""The five places at which a filter sees a packet. The names and numbers are those of Linux's netfilter.

    arrives -> PREROUTING -> for this host? -> INPUT -> a socket
                                  |
                                  no -> FORWARD -> POSTROUTING -> leaves
    a socket sends -> OUTPUT -> POSTROUTING -> leaves

The stack calls a hook as `hook(core, place, iface, packet)`, and the hook returns ACCEPT, DROP or STOLEN. `packet` is
the core's Packet at the first three places, and its Outgoing at the other two. `iface` is the interface that the packet
arrived on, or leaves by. A hook that returns STOLEN has taken over the packet. It must have copied the contents,
because the stack reuses both records for the next packet. For the sender, a packet that was
taken over has been sent; a packet that was dropped is EPERM.

Packets pass the places whole: OUTPUT and POSTROUTING come before a packet is cut into fragments, and before a router cuts an offloaded
group into segments (`gso_size` is set then).

Without hooks, `core.hooks` is None, and each place costs one comparison. A hook of the stack itself is a HookCall: compiled, it
is called without a detour over Python's calls.
"""

from collections.abc import Callable
from typing import Any

import pystack_c.const as C
from pystack_c.core import Core

PREROUTING, INPUT, FORWARD, OUTPUT, POSTROUTING = range(5)
NAMES = ("prerouting", "input", "forward", "output", "postrouting")
#: verdicts, with Linux's numbers; COUNTED is DROP by a hook that has counted the drop under its own name
DROP, ACCEPT, STOLEN, COUNTED = 0, 1, 2, 6

Hook = Callable[[Core, int, Any, Any], int]


class HookCall:
    """A hook of the stack itself. Without `reads`, it neither reads nor changes the packet, and may be called with None for it."""

    def __init__(self, reads: bool) -> None:
        self.reads = reads

    def enter(self, core: Core, place: int, iface: Any, packet: Any) -> int:
        """Judge a packet. Returns a verdict."""
        raise NotImplementedError

    def __call__(self, core: Core, place: int, iface: Any, packet: Any) -> int:
        """Judge a packet: the call of all other hooks."""
        return self.enter(core, place, iface, packet)


class HookItem:
    """A hook that is attached. `call` is the hook itself if it is a HookCall, and `following` is the next item of its place."""

    def __init__(self, priority: int, order: int, hook: Any) -> None:
        self.priority = priority
        self.order = order
        self.hook = hook
        self.call: Any = hook if isinstance(hook, HookCall) else None
        self.following: HookItem | None = None


class Hooks:
    """The hooks of one stack: for each place the first HookItem, lowest priority first, and the others behind it."""

    def __init__(self) -> None:
        self.prerouting: HookItem | None = None
        self.input: HookItem | None = None
        self.forward: HookItem | None = None
        self.output: HookItem | None = None
        self.postrouting: HookItem | None = None
        self.attached = 0
        #: how many hooks at POSTROUTING read the packet
        self.readers = 0

    def first(self, place: int) -> HookItem | None:
        """Return the first item of a place, or None."""
        if place == C.HOOK_PREROUTING:
            return self.prerouting
        if place == C.HOOK_FORWARD:
            return self.forward
        if place == C.HOOK_POSTROUTING:
            return self.postrouting
        return self.input if place == C.HOOK_INPUT else self.output

    def begin(self, place: int, item: Any) -> None:
        """Let a place begin with this HookItem, or with none."""
        if place == C.HOOK_PREROUTING:
            self.prerouting = item
        elif place == C.HOOK_INPUT:
            self.input = item
        elif place == C.HOOK_FORWARD:
            self.forward = item
        elif place == C.HOOK_OUTPUT:
            self.output = item
        else:
            self.postrouting = item

    def items(self, place: int) -> list[HookItem]:
        """Return the items of a place."""
        found: list[HookItem] = []
        item: HookItem | None = self.first(place)
        while item is not None:
            found.append(item)
            item = item.following
        return found

    def put(self, place: int, items: list[HookItem]) -> None:
        """Make these the items of a place."""
        item: HookItem | None = None
        for one in reversed(items):
            one.following = item
            item = one
        self.begin(place, item)
        if place == C.HOOK_POSTROUTING:
            self.readers = len([one for one in items if one.call is None or one.call.reads])


def verdict_of(core: Core, place: int, iface: Any, packet: Any) -> int:
    """Call the hooks of a place, one after the other. The result is ACCEPT, or the first other verdict; a drop is counted."""
    hooks: Hooks = core.hooks
    item: HookItem | None = hooks.first(place)
    while item is not None:
        # Each packet comes here several times, so what is rare has functions of its own.
        verdict = (
            _ask(item, core, place, iface, packet) if item.call is None else item.call.enter(core, place, iface, packet)
        )
        if verdict != C.NF_ACCEPT:
            return _refused(core, place, iface, verdict)
        item = item.following
    return C.NF_ACCEPT


def _ask(item: HookItem, core: Core, place: int, iface: Any, packet: Any) -> int:
    """Call a hook that is no HookCall."""
    verdict: int = item.hook(core, place, iface, packet)
    return verdict


def _refused(core: Core, place: int, iface: Any, verdict: int) -> int:
    """Return the verdict of the hooks after one of them has not accepted the packet. A drop is counted, if the hook has not done so."""
    if verdict == C.NF_DROP:
        why = "a hook at " + NAMES[place] + " refused the packet"
        core.drop("filter-" + NAMES[place], "filter " + iface.name, why, "Linux netfilter")
    return C.NF_DROP if verdict == C.NF_COUNTED else verdict


def unread(core: Core) -> bool:
    """Return True if no hook at POSTROUTING reads the packet, so `verdict_of` may be called with None for it."""
    hooks: Hooks = core.hooks
    return hooks.readers == 0


def attach(core: Core, place: int, hook: Hook, priority: int = 0, first: bool = False) -> None:
    """Add a hook. Hooks with the same priority run in the order in which they were attached; `first` puts it before them.

    Raises ValueError if there is no such place.
    """
    if not 0 <= place < len(NAMES):
        raise ValueError(f"place {place} is not in 0..{len(NAMES) - 1} ({', '.join(NAMES)})")
    hooks: Hooks = core.hooks
    if hooks is None:
        hooks = Hooks()
        core.hooks = hooks
    hooks.attached += 1
    item = HookItem(priority, -hooks.attached if first else hooks.attached, hook)
    hooks.put(place, sorted([*hooks.items(place), item], key=_order))
    # Results that were cached for earlier packets may no longer hold.
    core.route_epoch += 1


def detach(core: Core, place: int, hook: Hook) -> None:
    """Remove a hook. Raises ValueError if it is not attached at that place."""
    hooks: Hooks = core.hooks
    items: list[Any] = [] if hooks is None or not 0 <= place < len(NAMES) else hooks.items(place)
    found = [item for item in items if item.hook is hook]
    if not found:
        raise ValueError("this hook is not attached at that place")
    hooks.put(place, [item for item in items if item is not found[0]])
    left = [number for number in range(len(NAMES)) if hooks.first(number) is not None]
    if not left:
        core.hooks = None
    core.route_epoch += 1


def _order(item: HookItem) -> tuple[int, int]:
    return item.priority, item.order
