"""`ct count`: how many connections there are at the same time (Linux nft_connlimit, nf_conncount)."""

from typing import Any

import pystack_c.const as C
from pystack_c.filter.flow import Tracked
from pystack_c.filter.nft.statements import Statement
from pystack_c.filter.nft.view import View


class ConnLimit(Statement):
    """Count the connections whose first packets came here. It continues while they are `most` or fewer; with `over`, above that.

    An entry leaves the count when it leaves the table, or when its TCP connection is in TIME-WAIT or CLOSE. A packet that belongs to
    no entry counts for itself alone. All this is exact at once. Linux looks only when the next packet comes, and before 6.19 a packet
    of a connection that is counted already did not make it look at those behind this one.
    """

    def __init__(self, most: int, over: bool) -> None:
        self.most = most
        self.over = over
        self.count = 0
        #: entries that were new when they were counted. A later packet shows whether they got into the table.
        self.fresh: list[Any] = []

    def run(self, view: View) -> int:  # inherited
        """Count the packet's connection, and compare."""
        entry: Tracked | None = view.entry()
        self.settle(entry)
        count = self.count
        if entry is None:
            count += 1
        elif not entry.status & C.IPS_CONFIRMED and not entry.counts_for(self):
            entry.count_for(self)
            self.fresh.append(entry)
            self.count += 1
            count += 1
        return C.NFT_CONTINUE if (count > self.most) == self.over else C.NFT_BREAK

    def settle(self, current: Any) -> None:
        """Forget the entries that were new before and are not in the table now: a rule behind this one dropped their packet."""
        if not self.fresh:
            return
        left = []
        for item in self.fresh:
            entry: Tracked = item
            if entry is current and not entry.status & C.IPS_CONFIRMED:
                left.append(entry)
            elif not entry.status & (C.IPS_CONFIRMED | C.IPS_DYING):
                entry.uncount()
        self.fresh = left

    def gone(self) -> None:
        """Note that a connection ended."""
        self.count -= 1

    def clone(self) -> Any:  # inherited
        """Return a count of its own, for an element of a set."""
        return ConnLimit(self.most, self.over)
