"""Statements of nftables that answer a packet or report it: `reject` and `log` (Linux nft_reject, nft_log)."""

import pystack_c.const as C
from pystack_c.filter.hooks import NAMES
from pystack_c.filter.nft.chains import FilterPackets
from pystack_c.filter.nft.statements import Statement
from pystack_c.filter.nft.view import REJECTED, UNANSWERED, View

_LINUX = "Linux nf_tables"


class Reject(Statement):
    """Drop the packet, and tell its sender by a TCP reset or an ICMP error (destination unreachable with `code`)."""

    def __init__(self, packets: FilterPackets, reset: bool, code: int) -> None:
        self.packets = packets
        self.reset = reset
        self.code = code

    def run(self, view: View) -> int:  # inherited
        """Drop the packet."""
        if self.reset and view.proto != C.IPPROTO_TCP:
            return C.NFT_BREAK
        helper = self.packets.helper  # object
        sent = helper.reset(view) if self.reset else helper.unreachable(view, self.code)  # object
        view.rejected = REJECTED if sent else UNANSWERED
        return C.NF_DROP


class Log(Statement):
    """Report the packet: an event, and a line in a log of bounded length."""

    def __init__(self, packets: FilterPackets, prefix: str, level: str, group: int) -> None:
        self.packets = packets
        self.prefix = prefix
        self.level = level
        self.group = group

    def run(self, view: View) -> int:  # inherited
        """Log the packet."""
        core = view.core
        subject = view.subject()
        self.packets.logged += 1
        self.packets.log.append((core.now, self.prefix, self.level, NAMES[view.place], subject))
        if core.probe is not None:
            fields = {"prefix": self.prefix, "place": NAMES[view.place], "length": view.length, "mark": view.mark}
            core.emit("nft.log", subject, 0, "a rule says log", _LINUX, fields)
        return C.NFT_CONTINUE
