"""Scenarios about queues."""

from collections.abc import Generator
from typing import Any

from pystack.sim.network import MS, Network
from pystack.sim.programs import Proc, spawn
from pystack.stepper.scenarios.base import B, connected, finish, pair, pattern, scenario
from pystack.stepper.scenarios.link import ping


@scenario(
    "bufferbloat",
    "A queue that is too long, and CoDel",
    "Why does the same upload cost 400 ms of delay once, and then almost none?",
    look=(
        'event.kind == "drop" and event.fields.name == "qdisc-overlimit"',
        'event.kind == "drop" and event.fields.name == "qdisc-codel"',
    ),
    mechanism="bufferbloat",
    tries=(("set=a:tcp_congestion=bbr", "a used BBR"),),
    pane="windows",
)
def bufferbloat(net: Network) -> None:
    """The uplink of host a has 2 Mbit/s, and the way to b and back takes 20 ms. During the first upload, 64 packets may wait in front of
    the uplink (pfifo). TCP sends faster until the queue is full and drops a packet. By then, each packet waits for about 390 ms, and a ping
    beside the upload takes as long. For the second upload, the queue is managed by FQ-CoDel, which drops a packet as soon as packets have waited
    longer than 5 ms for 100 ms. The ping is in a queue of its own, and takes little more than 20 ms.
    """
    a, b, link = pair(net, delay=10 * MS, ab={"rate": 2_000_000, "qdisc": "pfifo limit 64"})

    def put(sock: Any, size: int) -> Generator[Any, Any, None]:
        yield sock.sendall(pattern(size))

    def take(sock: Any, size: int) -> Generator[Any, Any, None]:
        yield sock.recv_exactly(size)

    for discipline, size in (("", 300_000), ("fq_codel", 200_000)):
        if discipline:
            link.a.set_qdisc(discipline)
        client, server = connected(net, a, b, 80 + len(discipline))
        procs: list[Proc] = [spawn(net, put(client, size)), spawn(net, take(server, size))]
        net.run(net.now + 500 * MS)
        finish(net, spawn(net, ping(a, B)), *procs)
