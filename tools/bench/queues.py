"""Compares two queues of one device in two processes with one queue: requests that cost the server work (as root).

python -m tools.bench.queues [SECONDS]      one process, two, one, two ...; the medians and their ratio

Each server process has a queue of the same TUN device and a stack of its own on it, all with one address. It answers
each request, on blocking sockets, after it has parsed a JSON text of 30 KB. This work holds the interpreter's lock, so
several processes can do more of it. The client, on kernel sockets, does next to nothing for a request, because on a
machine with two CPUs it has no CPU to itself.
"""

import json
import os
import select
import socket as kernel
import statistics
import subprocess
import sys
import threading
import time
from typing import Any

from tools.bench import report

ADDRESS, PORT = "10.78.0.2", 7
CONNECTIONS = 32
WORK = json.dumps([1000 + n for n in range(5000)])
ROUNDS = 3


def _answer(conn: Any) -> None:
    with conn:
        try:
            while conn.recv(64):
                conn.sendall(b"%32d" % sum(json.loads(WORK)))
        except OSError:
            pass


def serve() -> None:
    """Be one server process on a queue of tun0, until its input ends."""
    import pystack
    from pystack import socket
    from pystack.phy.tap import TapDevice

    address = None if os.environ.get("SECOND") else "10.78.0.1/24"
    device = TapDevice("tun0", mode="tun", address=address, multi_queue=True)
    with pystack.up(None, f"{ADDRESS}/24", "10.78.0.1", device=device):
        listener = socket.socket()
        listener.bind((ADDRESS, PORT))
        listener.listen(CONNECTIONS)

        def accept() -> None:
            while True:
                try:
                    conn, _ = listener.accept()
                except OSError:
                    # the stack is closed
                    return
                threading.Thread(target=_answer, args=(conn,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        print("ready", flush=True)
        sys.stdin.read()


def load(seconds: float) -> float:
    """Return the requests per second over all connections, each with one request at a time."""
    conns = [kernel.create_connection((ADDRESS, PORT)) for _ in range(CONNECTIONS)]
    poll = select.epoll()
    by_fd = {conn.fileno(): conn for conn in conns}
    for fd, conn in by_fd.items():
        poll.register(fd, select.EPOLLIN)
        conn.sendall(b"?")
    count = 0
    begin = time.monotonic()
    while time.monotonic() - begin < seconds:
        for fd, _ in poll.poll(0.1):
            if len(by_fd[fd].recv(64)) != 32:
                raise RuntimeError("a short answer")
            by_fd[fd].sendall(b"?")
            count += 1
    elapsed = time.monotonic() - begin
    for conn in conns:
        conn.close()
    return count / elapsed


def rate(processes: int, seconds: float) -> float:
    """Return the requests per second with this many server processes."""
    servers = []
    try:
        for number in range(processes):
            environ = {**os.environ, "SECOND": "1" if number else ""}
            command = [sys.executable, "-m", "tools.bench.queues", "--serve"]
            server = subprocess.Popen(command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            servers.append(server)
            if server.stdout is None or server.stdout.readline() != b"ready\n":
                raise RuntimeError("a server did not start")
        return load(seconds)
    finally:
        for server in reversed(servers):
            if server.stdin is not None:
                server.stdin.close()
        for server in reversed(servers):
            server.wait(30)


def rates(seconds: float) -> dict[int, list[float]]:
    """Return the requests per second by the number of processes. The runs are interleaved."""
    found: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(ROUNDS):
        for processes in found:
            found[processes].append(rate(processes, seconds))
    return found


def apart(seconds: float) -> dict[int, list[float]]:
    """Return the same, measured in a network namespace of its own. RuntimeError if that fails."""
    command = ["unshare", "-n", sys.executable, "-m", "tools.bench.queues", "--inside", str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    return {int(processes): values for processes, values in json.loads(done.stdout).items()}


def measure(results: report.Results, quick: bool) -> None:
    """Measure the rows of both."""
    try:
        for processes, values in apart(1 if quick else 3).items():
            for value in values:
                results.add(report.QUEUES[processes], report.BUSY, value)
    except RuntimeError as exc:
        results.fail(report.QUEUES[2], report.BUSY, str(exc))


def main() -> None:
    """Measure and print."""
    found = apart(float(sys.argv[1]) if len(sys.argv) > 1 else 3)
    one, two = (statistics.median(found[n]) for n in (1, 2))
    print(f"one queue {one:,.0f} requests/s, two queues in two processes {two:,.0f}: {two / one:.2f} times")


if __name__ == "__main__":
    if "--serve" in sys.argv:
        serve()
    elif "--inside" in sys.argv:
        print(json.dumps(rates(float(sys.argv[-1]))))
    else:
        main()
