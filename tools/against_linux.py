"""Compares pystack with Linux over the same wire: `python -m tools.against_linux`.

It writes docs/explanation/against-linux.md. It runs bulk transfers over a wire in user space (tools/wire.py) with a
given loss and round-trip time, several connections at once, with Reno, CUBIC and BBR. The kernel sends to the kernel,
and a pystack stack replaces the sender, the receiver, or both. The same seed loses the same frames, by number. The
result is the ratio to the kernel's own goodput in the same run. The megabits themselves depend on the machine, although
less than one would think, because the round trips set the pace.

The four pairs of a row run at the same time. Each end and each wire has a process of its own, as two hosts would. The
command needs root, because it makes namespaces and TAPs.
"""

import argparse
import contextlib
import json
import os
import signal
import socket
import statistics
import struct
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pystack  # noqa: F401 (first, because it decides which build of the core is loaded)
from pystack.sim.channel import Channel
from tools.wire import KernelEnd, PairDevice, Wire, stack_end

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "explanation" / "against-linux.md"
MS = 1_000_000
PORT = 5000
PAIRS = (("kernel", "kernel"), ("stack", "kernel"), ("kernel", "stack"), ("stack", "stack"))
#: (loss, round-trip time in ms, connections, Mbit/s): with enough connections that the wire is not the limit, except
#: for BBR
ROWS = (
    (0.0, 50, 1, 20),
    (0.001, 50, 2, 100),
    (0.01, 10, 2, 100),
    (0.01, 50, 6, 100),
    (0.01, 200, 12, 100),
    (0.03, 50, 8, 100),
)
BBR_ROWS = (
    (0.0, 50, 1, 20),
    (0.001, 50, 1, 20),
    (0.01, 10, 1, 20),
    (0.01, 50, 1, 20),
    (0.01, 200, 1, 10),
    (0.03, 50, 1, 20),
)
WARM = 3.0


def end(kind: str, number: int, algorithm: str) -> tuple[Any, int, Callable[[], Any]]:
    """Make one end of a wire. Return (the object to close, its descriptor, a function that makes sockets)."""
    address = f"10.9.0.{number}/24"
    if kind == "kernel":
        made = KernelEnd(address)
        # Otherwise a connection would begin with the metrics of the last one to that address.
        made.sysctl("tcp_no_metrics_save", 1)
        return made, made.fd, made.socket
    device = PairDevice(mac=0x0200000000A0 + number)
    return device, device.far.fileno(), lambda: stack_end(address, device, tcp_congestion=algorithm).socket


def measure(
    pair: tuple[str, str], algorithm: str, loss: float, rtt: int, flows: int, mbit: int, seconds: float, seed: int
) -> tuple[float, float]:
    """Return the goodput in Mbit/s of all connections together, after the start, and the senders' mean SRTT in ms."""
    ends = [end(kind, number, algorithm) for number, kind in enumerate(pair, 1)]
    rate = mbit * 1_000_000
    queue = max(50, int(rate * rtt / 1000 / 8 / 1514))
    settings: dict[str, Any] = {"delay": rtt * MS // 2, "rate": rate, "queue": queue}
    channels = [Channel(seed, "data", **settings, loss=loss), Channel(seed, "acks", **settings)]
    with Wire(ends[0][1], ends[1][1], *channels):
        with contextlib.suppress(OSError):
            # The same priority as the wire has, because the kernel's TCP does not wait for its turn either.
            os.nice(-10)
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            try:
                ours.close()
                receive(ends[1][2] if pair[1] == "kernel" else ends[1][2](), flows, theirs)
            finally:
                os._exit(1)
        try:
            theirs.close()
            return transfer(ends[0][2] if pair[0] == "kernel" else ends[0][2](), algorithm, flows, seconds, ours)
        finally:
            os.kill(pid, signal.SIGTERM)
            os.waitpid(pid, 0)


def receive(receiver: Any, flows: int, control: socket.socket) -> None:
    """Be the receiving end, in its own process: read all data, and report the number of bytes on request."""
    got = [0] * flows
    listener = receiver()
    listener.bind(("10.9.0.2", PORT))
    listener.listen(flows)

    def drain(number: int, sock: Any) -> None:
        while data := sock.recv(1 << 17):
            got[number] += len(data)

    def accept() -> None:
        for number in range(flows):
            sock, _ = listener.accept()
            threading.Thread(target=drain, args=(number, sock), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    control.sendall(b"r")
    while control.recv(1):
        control.sendall(sum(got).to_bytes(8, "big"))


def transfer(sender: Any, algorithm: str, flows: int, seconds: float, control: socket.socket) -> tuple[float, float]:
    """Send with `flows` connections as fast as possible. Return goodput and SRTT, as `measure` does."""
    control.recv(1)
    block = bytes(1 << 16)

    def pour(sock: Any) -> None:
        while True:
            sock.sendall(block)

    def asked() -> tuple[int, float]:
        control.sendall(b"?")
        return int.from_bytes(control.recv(8), "big"), time.monotonic()

    socks = [sender() for _ in range(flows)]
    for sock in socks:
        sock.setsockopt(6, 13, algorithm.encode())
        sock.connect(("10.9.0.2", PORT))
        threading.Thread(target=pour, args=(sock,), daemon=True).start()
    time.sleep(WARM)
    before, begin = asked()
    rtts = []
    while time.monotonic() < begin + seconds:
        time.sleep(0.2)
        # tcpi_rtt, in microseconds
        rtts += [struct.unpack_from("=I", sock.getsockopt(6, 11, 192), 68)[0] / 1000 for sock in socks]
    after, finish = asked()
    return (after - before) * 8 / (finish - begin) / 1e6, sum(rtts) / len(rtts)


def in_child(fn: Callable[..., Any], *args: Any) -> tuple[int, int]:
    """Run a measurement in a process of its own, which ends with everything it made.

    Return (pid, descriptor that the result is read from).
    """
    out, inside = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(out)
            answer = fn(*args)
            os.write(inside, json.dumps(answer).encode())
            code = 0
        finally:
            os._exit(code)
    os.close(inside)
    return pid, out


def side_by_side(
    algorithm: str, row: tuple[float, int, int, int], seconds: float, seed: int
) -> list[tuple[float, float]]:
    """Return the results of `measure` for each of PAIRS, which run at the same time."""
    running = [in_child(measure, pair, algorithm, *row, seconds, seed) for pair in PAIRS]
    results = []
    try:
        for pid, out in running:
            with os.fdopen(out, "rb") as pipe:
                text = pipe.read()
            os.waitpid(pid, 0)
            results.append(tuple(json.loads(text)) if text else (0.0, 0.0))
    except BaseException:
        for pid, _ in running:
            os.kill(pid, signal.SIGTERM)
        raise
    return results


def table(rows: list[tuple[str, tuple[float, int, int, int], list[list[tuple[float, float]]]]]) -> str:
    """Return the page's table: means over the seeds, and twice the standard error of the least certain of them."""
    lines = [
        "| Algorithm | Loss | Round trip | Connections | Linux | pystack sends | pystack receives | both | ± | SRTT, ms |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for algorithm, (loss, rtt, flows, mbit), every in rows:
        runs = [run for run in every if run[0][0] > 0]
        ratios = [[value / run[0][0] for value, _ in run[1:]] for run in runs]
        columns = list(zip(*ratios))
        noise = max(2 * statistics.stdev(column) / len(column) ** 0.5 if len(column) > 1 else 0 for column in columns)
        linux = sum(run[0][0] for run in runs) / len(runs)
        cells = [algorithm, f"{loss:.1%}", f"{rtt} ms", f"{flows} at {mbit} Mbit/s", f"{linux:.2f} Mbit/s"]
        cells += [f"{sum(column) / len(column):.2f}" for column in columns] + [f"{noise:.2f}"]
        cells.append(" / ".join(f"{sum(run[n][1] for run in runs) / len(runs):.1f}" for n in range(4)))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


HEAD = """# Beside Linux, on the same wire

The table shows the goodput of bulk transfers over a wire in user space ([tools/wire.py](../../tools/wire.py)) that loses frames at random. The
queue has one bandwidth-delay product. **Linux** is the kernel's TCP at both ends. The next columns are the ratio to it with pystack as the
sender, as the receiver, and as both. All of these run at the same time and lose the same frames by number. **±** is twice the standard error
of the least certain of the three ratios, so smaller differences are noise. **SRTT** is the round trip that the senders measured, for
Linux and for the three.

If losses limit the rate, goodput falls as the round trip grows. Mathis' law is MSS / RTT * sqrt(1.5 / loss). A stack in user space
adds the time until the machine gives it the processor, and this time grows with the load of the machine. So compare the column SRTT before the
ratios: a connection whose round trip is a tenth longer has a tenth less goodput. In virtual time, where no work takes time, two of pystack's Reno
connections have 26.1 Mbit/s at 1 % and 10 ms, with an SRTT of 10.5 ms. Six have 16.7 Mbit/s at 50 ms, with an SRTT of 51.6 ms.

Linux's `bbr` is version 1, which does not react to losses at all. pystack's `bbr` is version 3 (draft-ietf-ccwg-bbr). It slows down if
more than 2 % are lost, and leaves room for others, so with more random losses than that it is slower by design. It also looks
for the shortest round trip every 5 s instead of every 10 s, with half a window in flight. On a link without other traffic this costs 2 to 4 %,
depending on the round trip ([congestion control](../howto/congestion.md)).

The figures are a snapshot, written by `python -m tools.against_linux` (Linux {linux}; {seeds} runs of {seconds:g} s each).

"""


def main(argv: "list[str] | None" = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m tools.against_linux", description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--seconds", type=float, default=12.0, help="seconds of each run, after the start (default: %(default)s)"
    )
    parser.add_argument("--seeds", type=int, default=5, help="runs of each row (default: %(default)s)")
    parser.add_argument("--algorithm", action="append", help="only this one; repeatable")
    parser.add_argument("--row", type=int, action="append", help="only this row (from 0); repeatable")
    parser.add_argument("--print", action="store_true", help="print the table, and do not write the page")
    options = parser.parse_args(argv)
    results = []
    for algorithm in options.algorithm or ("reno", "cubic", "bbr"):
        for number, row in enumerate(BBR_ROWS if algorithm == "bbr" else ROWS):
            if options.row and number not in options.row:
                continue
            runs = [side_by_side(algorithm, row, options.seconds, seed) for seed in range(1, options.seeds + 1)]
            results.append((algorithm, row, runs))
            print(algorithm, row, [[[round(value, 2) for value in one] for one in run] for run in runs], flush=True)
    text = table(results)
    if options.print:
        print(text)
    else:
        version = ".".join(os.uname().release.split(".")[:2])
        head = HEAD.format(linux=version, seeds=options.seeds, seconds=options.seconds)
        PAGE.write_text(head + text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
