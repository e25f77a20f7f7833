"""Functions that the tests sweep: worker processes import them by name."""

import dataclasses
import os
import signal
import time
from pathlib import Path

from pystack.sim.network import MS, Network, S
from pystack.sim.programs import spawn, stream


@dataclasses.dataclass
class Ended:
    at: int
    lost: int
    shares: tuple[float, ...]


def transfer(*, loss, algorithm="cubic", seed, size=100_000):
    """A bulk transfer in virtual time. Returns when it ended, in ns, and the frames that were lost."""
    net = Network(seed)
    a, b = net.host("a"), net.host("b")
    link = net.link(a, b, addrs=("10.0.0.1/24", "10.0.0.2/24"), delay=20 * MS, rate=20_000_000, queue=300)
    link.ab.set(loss=loss)

    def server():
        listener = stream(b)
        listener.bind("", 80)
        listener.listen()
        sock = yield listener.accept()
        return len((yield sock.recv_all()))

    def client():
        sock = stream(a)
        sock.setsockopt(6, 13, algorithm)
        yield sock.connect("10.0.0.2", 80)
        yield sock.sendall(bytes(size))
        sock.shutdown()

    receiver = spawn(net, server())
    spawn(net, client())
    net.run_until(receiver.finished, limit=600 * S)
    assert receiver.value == size
    return Ended(net.now, link.ab.stats.dropped(), (loss, 0.5))


def logged(*, path, n, seed):
    """n * seed, after a line in a file for each call."""
    with open(path, "a") as file:
        file.write(f"{n} {seed}\n")
    return n * seed


def slow(*, path, n, seed):
    """From n == 10 on it waits until the file with the suffix ".go" is there."""
    result = logged(path=path, n=n, seed=seed)
    end = time.monotonic() + 60
    while n >= 10 and not Path(f"{path}.go").exists() and time.monotonic() < end:
        time.sleep(0.02)
    time.sleep(0.2)
    return result


def fails(*, path, n, seed):
    logged(path=path, n=n, seed=seed)
    if n == 2:
        raise LookupError(f"no {n}\nand a second line")
    return n


def dies_once(*, path, n, seed):
    """Kills its process in the first call with n == 2."""
    if n == 2 and not Path(f"{path}.died").exists():
        Path(f"{path}.died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return logged(path=path, n=n, seed=seed)


def dies(*, path, n, seed):
    """Kills its process in each call with n == 2."""
    if n == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.05)
    return logged(path=path, n=n, seed=seed)


def leaves(*, n, seed):
    raise SystemExit(3)


def strange(*, n, seed):
    """Results that can and cannot be stored."""
    loop: list = []
    loop.append(loop)
    return [1, {"a": (1, 2)}, None, object(), {1: 2}, {1, 2}, 1j, b"x", loop, float("inf"), 10**400, True][n]


def process(*, n, seed):
    return os.getpid()


def meets(*, path, n, seed):
    """Waits until two processes are here. Returns the number of this one."""
    Path(path, str(os.getpid())).touch()
    end = time.monotonic() + 60
    while len(os.listdir(path)) < 2 and time.monotonic() < end:
        time.sleep(0.02)
    return os.getpid()


class Silent(Exception):
    def __str__(self):
        raise ValueError("no text")


def odd_errors(*, n, seed):
    if n == 0:
        raise ValueError("half of a pair \ud800 and NUL \0")
    if n == 1:
        raise Silent
    if n == 2:
        raise ExceptionGroup("two", [ValueError("one"), TypeError("other")])
    if n == 3:
        return 10**5000
    if n == 4:
        return "\ud800\0"
    raise RecursionError("x" * 100_000)
