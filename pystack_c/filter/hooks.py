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
    """A hook that is attached. `call` is the hook itself if it is a HookCall."""

    def __init__(self, priority: int, order: int, hook: Any) -> None:
        self.priority = priority
        self.order = order
        self.hook = hook
        self.call: Any = hook if isinstance(hook, HookCall) else None


class Hooks:
    """The hooks of one stack: for each place a list of HookItem, lowest priority first."""

    def __init__(self) -> None:
        self.places: list[list[HookItem]] = [[] for _ in NAMES]
        self.attached = 0
        #: how many hooks at POSTROUTING read the packet
        self.readers = 0


def passes(core: Core, place: int, iface: Any, packet: Any) -> bool:
    """Call the hooks of a place, one after the other.

    Returns False if one of them dropped the packet, or took it over.
    """
    return verdict_of(core, place, iface, packet) == C.NF_ACCEPT


def verdict_of(core: Core, place: int, iface: Any, packet: Any) -> int:
    """Ask the hooks of a place, one after the other. The result is ACCEPT, or the first other verdict; a drop is counted."""
    hooks: Hooks = core.hooks
    items: list[HookItem] = hooks.places[place]
    for one in items:
        item: HookItem = one
        if item.call is not None:
            verdict = item.call.enter(core, place, iface, packet)
        else:
            verdict = item.hook(core, place, iface, packet)
        if verdict == C.NF_ACCEPT:
            continue
        if verdict == C.NF_DROP:
            why = "a hook at " + NAMES[place] + " refused the packet"
            core.drop("filter-" + NAMES[place], "filter " + iface.name, why, "Linux netfilter")
        return C.NF_DROP if verdict == C.NF_COUNTED else verdict
    return C.NF_ACCEPT


def unread(core: Core) -> bool:
    """Return True if no hook at POSTROUTING reads the packet, so `passes` may be called with None for it."""
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
    hooks.places[place].append(HookItem(priority, -hooks.attached if first else hooks.attached, hook))
    hooks.places[place].sort(key=_order)
    hooks.readers = _readers(hooks)
    # Results that were cached for earlier packets may no longer hold.
    core.route_epoch += 1


def detach(core: Core, place: int, hook: Hook) -> None:
    """Remove a hook. Raises ValueError if it is not attached at that place."""
    hooks: Hooks = core.hooks
    found = (
        []
        if hooks is None or not 0 <= place < len(NAMES)
        else [item for item in hooks.places[place] if item.hook is hook]
    )
    if not found:
        raise ValueError("this hook is not attached at that place")
    hooks.places[place].remove(found[0])
    hooks.readers = _readers(hooks)
    if not any(hooks.places):
        core.hooks = None
    core.route_epoch += 1


def _order(item: HookItem) -> tuple[int, int]:
    return item.priority, item.order


def _readers(hooks: Hooks) -> int:
    return len([item for item in hooks.places[POSTROUTING] if item.call is None or item.call.reads])
