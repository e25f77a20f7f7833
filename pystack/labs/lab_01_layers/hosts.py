"""Two hosts become three on a switch, and then a router leads to a fourth: which bytes change on the way, and which frames does the third host get?"""

from typing import NamedTuple

from pystack.phy.match import is_data
from pystack.sim.network import Network
from pystack.sim.programs import spawn, stream
from pystack.testing.lab import MS, S
from pystack.trace.pcapng import INBOUND, OUTBOUND

NEAR, FAR = "10.0.0.3", "10.0.1.2"


class OneByte(NamedTuple):
    """The frame with the byte as `a` sent it and as it arrived, and how many such frames `b` got."""

    sent: bytes
    arrived: bytes
    seen: int

    def changed(self) -> list[int]:
        """Return how many of Ethernet's two addresses are others, how many of IP's two, and by how much the TTL is lower."""
        one, other = self.sent, self.arrived
        ethernet, ip = ((0, 6), (6, 12)), ((26, 30), (30, 34))
        ends = [sum(one[i:j] != other[i:j] for i, j in fields) for fields in (ethernet, ip)]
        return [*ends, one[22] - other[22]]


def network() -> Network:
    """Build the network: `a`, `b` and `c` on a switch, and a router from there to `d`."""
    net = Network(1)
    switch, router = net.switch("s"), net.router("r")
    for number, name in enumerate("abc", 1):
        host = net.host(name)
        net.link(host, switch, delay=MS, addrs=(f"10.0.0.{number}/24", None))
        host.route("default", via="10.0.0.254")
    net.link(router, switch, delay=MS, addrs=("10.0.0.254/24", None))
    far = net.host("d")
    net.link(far, router, delay=MS, addrs=(f"{FAR}/24", "10.0.1.1/24"))
    far.route("default", via="10.0.1.1")
    net.introduce()
    return net


def one_byte(name: str) -> OneByte:
    """Send one byte from `a` to the host `name`, which is `c` or `d`."""
    net = network()
    frames: dict[tuple[str, int], list[bytes]] = {}

    def watch(host: str) -> None:
        def tap(time: int, way: int, frame: bytes) -> None:
            if is_data(frame):
                frames.setdefault((host, way), []).append(frame)

        net.hosts[host].port().taps.append(tap)

    for host in ("a", "b", name):
        watch(host)
    listener = stream(net.hosts[name])
    listener.bind("", 80)
    listener.listen()

    def serve():
        sock = yield listener.accept()
        yield sock.recv_exactly(1)

    def dial():
        sock = stream(net.hosts["a"])
        yield sock.connect(NEAR if name == "c" else FAR, 80)
        yield sock.sendall(b"!")

    serving = spawn(net, serve())
    spawn(net, dial())
    net.run_until(serving.finished, limit=10 * S)
    (sent,), (arrived,) = frames["a", OUTBOUND], frames[name, INBOUND]
    return OneByte(sent, arrived, len(frames.get(("b", INBOUND), [])))
