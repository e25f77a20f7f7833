"""The stack under test: one host in virtual time, one link of bare IP packets."""

from ipaddress import IPv4Address
from typing import Any

from pystack.pkt.settings import ScriptSettings
from pystack.pkt.wire import ScriptSegment, parse_frame
from pystack.runtime.host import Host
from pystack_c.const import LINK_IP, RT_UNICAST
from pystack_c.stack import Stack

#: the time at which scripts begin (ns), late enough that no clock of the stack is near zero
START = 1_000_000_000_000


class PktHost(Host):
    """A Host whose clock is set by the runner. The packets that it sends are kept in `sent`."""

    def __init__(self, settings: ScriptSettings, config: Any):
        super().__init__(Stack(settings.seed, config, "pkt"))
        self.now = START
        self.sent: list[ScriptSegment] = []
        #: True: several things happen before the stack's packets are taken
        self.held = False
        self.local = int(IPv4Address(settings.local_ip))
        self.remote = int(IPv4Address(settings.remote_ip))
        self.tun = self.setup("add_iface", "tun0", LINK_IP, 0, settings.mtu)
        self.setup("add_addr", self.tun, self.local, 16)
        self.setup("add_route", 0, 0, 0, self.tun)

    def route(self, dst: int, prefixlen: int, metrics: tuple[int, int, int] | None) -> None:
        """Set a route over the only link, with its MTU, MSS to announce and initial window (0: none). None removes it."""
        if metrics is None:
            self.setup("del_route", dst, prefixlen)
        else:
            self.setup("add_route", dst, prefixlen, 0, self.tun, 0, 0, RT_UNICAST, *metrics, True)

    def clock(self) -> int:
        """Return the virtual time."""
        return self.now

    def pump(self) -> None:
        """Take all packets that the stack wants to send."""
        while not self.held:
            tx = self.poll_transmit()
            if tx is None:
                break
            self.sent.append(parse_frame(tx.to_bytes(), self.now, self.stack.config.tcp_udp_port))
        while self.poll_event() is not None:
            pass

    def inject(self, packet: bytes, gso_size: int = 0) -> None:
        """Let a packet arrive. With `gso_size`, it is several packets that the device has joined."""
        self.receive(self.tun, packet, 0, 0, gso_size)
        self.pump()

    def fire(self, deadline: int) -> None:
        """Go to a deadline, and fire the timers that are due."""
        if deadline > self.now:
            self.now = deadline
        self.handle_timeout()
        self.pump()
