"""A stack with nothing in it, to test the simulator by itself: it keeps what it gets and sends what it is told."""

from collections import deque

from pystack_c.iface import Iface, LocalAddr
from pystack_c.packet import Transmit
from pystack_c.stack import Stack


class FakeStack(Stack):
    """The seam, without protocols (a Stack, as the compiled driver wants). `echo` sends every frame back with its first bytes swapped."""

    def __init__(self, seed, config, name):
        super().__init__(seed, config, name)
        self.ifaces = []
        self.got = []
        self.outbox = deque()
        self.deadlines = []
        self.fired = []
        self.echo = False

    def add_iface(self, name, kind, mac, mtu, tx_csum=False, gso_max=0):
        iface = Iface(len(self.ifaces) + 1, name, kind, mac, mtu)
        self.ifaces.append(iface)
        return iface

    def add_addr(self, iface, addr, prefixlen):
        iface.addrs.append(LocalAddr(addr, prefixlen, iface))

    def add_neighbor(self, iface, addr, mac):
        iface.neighbors[addr] = mac

    def receive(self, iface, frame, now, offset=0, flags=0, gso_size=0):
        self.got.append((now, frame))
        if self.echo:
            self.outbox.append(Transmit(iface, frame[6:12] + frame[:6] + frame[12:]))

    def handle_timeout(self, now):
        due = [t for t in self.deadlines if t <= now]
        self.deadlines = [t for t in self.deadlines if t > now]
        self.fired.extend((now, t) for t in due)

    def poll_transmit(self, now):
        return self.outbox.popleft() if self.outbox else None

    def poll_event(self):
        return None

    def poll_timeout(self):
        return min(self.deadlines, default=None)


def send(stack, *args):
    """An application call: send frames from the first interface (the last argument is `now`)."""
    for frame in args[:-1]:
        stack.outbox.append(Transmit(stack.ifaces[0], frame))


def arm(stack, *args):
    """An application call: set timers."""
    stack.deadlines.extend(args[:-1])
