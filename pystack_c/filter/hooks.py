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

Without hooks, `core.hooks` is None, and each place costs one comparison.
"""

from collections.abc import Callable
from typing import Any

from pystack_c.core import Core

PREROUTING, INPUT, FORWARD, OUTPUT, POSTROUTING = range(5)
NAMES = ("prerouting", "input", "forward", "output", "postrouting")
#: verdicts, with Linux's numbers; COUNTED is DROP by a hook that has counted the drop under its own name
DROP, ACCEPT, STOLEN, COUNTED = 0, 1, 2, 6

Hook = Callable[[Core, int, Any, Any], int]


class Hooks:
    """The hooks of one stack: for each place a list of (priority, order, hook), lowest priority first."""

    def __init__(self) -> None:
        self.places: list[list[tuple[int, int, Hook]]] = [[] for _ in NAMES]
        self.attached = 0


def passes(core: Core, place: int, iface: Any, packet: Any) -> bool:
    """Call the hooks of a place, one after the other.

    Returns False if one of them dropped the packet, or took it over.
    """
    return verdict_of(core, place, iface, packet) == ACCEPT


def verdict_of(core: Core, place: int, iface: Any, packet: Any) -> int:
    """Ask the hooks of a place, one after the other. The result is ACCEPT, or the first other verdict; a drop is counted."""
    hooks: Hooks = core.hooks
    for item in hooks.places[place]:
        verdict = item[2](core, place, iface, packet)
        if verdict == ACCEPT:
            continue
        if verdict == DROP:
            why = "a hook at " + NAMES[place] + " refused the packet"
            core.drop("filter-" + NAMES[place], "filter " + iface.name, why, "Linux netfilter")
        return DROP if verdict == COUNTED else verdict
    return ACCEPT


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
    hooks.places[place].append((priority, -hooks.attached if first else hooks.attached, hook))
    hooks.places[place].sort(key=_order)
    # Results that were cached for earlier packets may no longer hold.
    core.route_epoch += 1


def detach(core: Core, place: int, hook: Hook) -> None:
    """Remove a hook. Raises ValueError if it is not attached at that place."""
    hooks: Hooks = core.hooks
    found = (
        []
        if hooks is None or not 0 <= place < len(NAMES)
        else [item for item in hooks.places[place] if item[2] is hook]
    )
    if not found:
        raise ValueError("this hook is not attached at that place")
    hooks.places[place].remove(found[0])
    if not any(hooks.places):
        core.hooks = None
    core.route_epoch += 1


def _order(item: tuple[int, int, Hook]) -> tuple[int, int]:
    return item[0], item[1]
