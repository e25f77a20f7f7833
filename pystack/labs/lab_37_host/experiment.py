"""ping and curl of this machine talk to a host of pystack, by the real clock, in a network of their own."""

import hashlib
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from pystack.labs.hosts import HostValue
from pystack.labs.lab_37_host.solution import serve
from pystack.labs.values import LabControl
from pystack.sim.network import Network
from pystack.sim.programs import spawn, stream

SIZE, SMALL = 10_000_000, 1000
DATA = hashlib.shake_256(b"lab 37").digest(SIZE)
PINGS = 5
CURL = ["curl", "-sS", "-m", "60"]


def network(kernel: bool = False) -> Network:
    """Build the network: `laptop` is the kernel's if `kernel`, and `server` is pystack's."""
    net = Network(seed=1)
    laptop = net.kernel("laptop") if kernel else net.host("laptop")
    net.link(laptop, net.host("server"), addrs=("10.0.0.1/24", "10.0.0.2/24"))
    return net


def answer_all(host, files):
    """Run the server: it serves one connection after the other."""
    listener = stream(host)
    listener.bind("", 80)
    listener.listen()
    while True:
        sock = yield listener.accept()
        yield from serve(sock, files)
        sock.close()


@cache
def seen() -> dict[str, Any]:
    """Run the tools, and return what they say."""
    with network(kernel=True) as net, tempfile.TemporaryDirectory() as folder:
        laptop = net.kernels["laptop"]
        files = {"/data": DATA}
        spawn(net, answer_all(net.hosts["server"], files))
        down, up, small = (Path(folder, name) for name in ("down", "up", "small"))
        up.write_bytes(DATA)
        small.write_bytes(DATA[:SMALL])

        def tool(*words: str) -> Any:
            return laptop.run(list(words), capture_output=True, text=True, timeout=90)

        ping = tool("ping", "-c", str(PINGS), "-i", "0.2", "server").stdout
        replies = [line for line in ping.splitlines() if "bytes from" in line]
        tool(*CURL, "-o", str(down), "http://server/data")
        large = tool(*CURL, "-v", "-T", str(up), "http://server/up").stderr
        little = tool(*CURL, "-v", "-T", str(small), "http://server/small").stderr
        status = tool(*CURL, "-o", "/dev/null", "-w", "%{http_code}", "http://server/nothing").stdout
        return {
            "pings": len(replies),
            "ttl": sorted({int(line.partition("ttl=")[2].split()[0]) for line in replies}),
            "down": same(down.read_bytes() if down.exists() else b""),
            "up": same(files.get("/up", b"")),
            "continue": large.count("< HTTP/1.1 100"),
            "status": int(status),
            "small": little.count("< HTTP/1.1 100"),
            "refused": tool(*CURL, "http://server:8080/data").returncode,
        }


def same(data: bytes) -> int:
    """Return the number of bytes if their SHA-256 is that of DATA, and 0 otherwise."""
    return len(data) if hashlib.sha256(data).digest() == hashlib.sha256(DATA).digest() else 0


VALUES = [
    HostValue("pings", "ping sends 5 requests: how many replies come?", "5: nothing is lost", PINGS, "replies", needs="ping"),
    HostValue("ttl", "Which TTL do the replies have?", "64 - 0 routers", [64], "", needs="ping"),
    HostValue("down", "curl gets 10,000,000 bytes: how many arrive, with the right SHA-256?", "all", SIZE, "bytes", needs="curl"),
    HostValue("up", "curl sends as many: how many arrive?", "all", SIZE, "bytes", needs="curl"),
    HostValue("continue", "How many times does the server say `100 Continue` to that?", "1: curl asks for it", 1, "", needs="curl"),
    HostValue("status", "Which status does a file get that is not there?", "404", 404, "", needs="curl"),
]  # fmt: skip


def measure(name: str) -> Any:
    """Measure one of VALUES."""
    return seen()[name]


CONTROLS = [
    LabControl(
        "An upload of 1,000 bytes", HostValue("small", "How many times `100 Continue`?", "0", 0, "", needs="curl")
    ),
    LabControl(
        "A port without a server",
        HostValue("refused", "curl's exit status (0 if all is well)", "7: it cannot connect", 7, "", needs="curl"),
    ),
]


def control(name: str) -> Any:
    """Measure a control."""
    return seen()[name]


NO_LOOKS = "its client is the kernel of this machine, which runs by the real clock and records nothing"
