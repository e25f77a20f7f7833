"""The same conversations with the kernel, over a wire that loses, delays, reorders and repeats (tools/wire.py): both
directions, bulk and interactive, all sets of options on either side.

Each test has its conversations side by side, on one wire: they mostly wait.
"""

import hashlib
import threading

import pytest

from pystack.sim.channel import Channel
from tools.wire import KernelEnd, PairDevice, Wire, stack_end

MS = 1_000_000
BULK = hashlib.shake_128(b"bulk").digest(200_000)
BAD = {"delay": 5 * MS, "loss": 0.02, "reorder": 0.05, "reorder_delay": 8 * MS, "duplicate": 0.02, "jitter": MS}
BAD["corrupt"] = 0.005
CLEAN = {"delay": 5 * MS}
#: settings of the stack
OURS = {
    "all": {},
    "no-sack": {"tcp_sack": False},
    "no-timestamps": {"tcp_timestamps": False},
    "no-scaling": {"tcp_window_scaling": False},
    "none": {"tcp_sack": False, "tcp_timestamps": False, "tcp_window_scaling": False},
    "ecn": {"tcp_ecn": 1},
    "accecn": {"tcp_ecn": 3},
    "no-rack": {"tcp_rack": False, "tcp_tlp": False, "tcp_prr": False},
    "cubic": {"tcp_congestion": "cubic"},
    "bbr": {"tcp_congestion": "bbr"},
    "small": {"tcp_rmem": 8192, "tcp_wmem": 8192, "tcp_mss": 536},
    "paced": {"tcp_pacing": True, "tcp_push_bursts": False, "tcp_ack_pushed": False},
    "queue": {"tcp_linux_queue": True, "tcp_mtu_probing": 2, "tcp_nagle": False},
}
#: sysctls of the kernel
THEIRS = {
    "no-sack": {"tcp_sack": 0},
    "no-timestamps": {"tcp_timestamps": 0},
    "no-scaling": {"tcp_window_scaling": 0},
    "none": {"tcp_sack": 0, "tcp_timestamps": 0, "tcp_window_scaling": 0},
    "ecn": {"tcp_ecn": 1},
    "no-rack": {"tcp_recovery": 0, "tcp_early_retrans": 0, "tcp_frto": 0},
    "bbr": {"tcp_congestion_control": "bbr"},
    "reno": {"tcp_congestion_control": "reno", "tcp_mtu_probing": 2},
    "small": {"tcp_rmem": "4096 8192 8192", "tcp_wmem": "4096 8192 8192"},
}


class Ends:
    """The kernel (10.9.0.1) and a stack (10.9.0.2) on one wire."""

    def __init__(self, seed, wire, ours, theirs):
        self.kernel = KernelEnd("10.9.0.1/24")
        for name, value in theirs.items():
            self.kernel.sysctl(name, value)
        self.device = PairDevice()
        channels = [Channel(seed, name, **wire) for name in ("ab", "ba")]
        self.wire = Wire(self.kernel.fd, self.device.far.fileno(), *channels)
        self.stack = stack_end("10.9.0.2/24", self.device, **ours)
        self.socket = {"kernel": self.kernel.socket, "stack": self.stack.socket}
        self.address = {"kernel": "10.9.0.1", "stack": "10.9.0.2"}
        self.failed = []
        self.threads = []

    def close(self):
        self.stack.close(flush=0)
        self.wire.close()
        self.kernel.close()

    def go(self, fn, *args):
        def body():
            try:
                fn(*args)
            except BaseException as error:
                self.failed.append(error)

        thread = threading.Thread(target=body, daemon=True)
        self.threads.append(thread)
        thread.start()

    def both(self, client, port, serve, ask):
        """One connection opened by `client` ("kernel" or "stack"): `serve(sock)` at the one end, `ask(sock)` at the other."""
        server = "stack" if client == "kernel" else "kernel"
        listener = self.socket[server]()
        listener.setsockopt(1, 2, 1)
        listener.bind((self.address[server], port))
        listener.listen()

        def accept():
            with listener:
                listener.settimeout(30)
                sock, _ = listener.accept()
            with sock:
                sock.settimeout(30)
                serve(sock)

        def connect():
            with self.socket[client]() as sock:
                sock.settimeout(30)
                sock.connect((self.address[server], port))
                ask(sock)

        self.go(accept)
        self.go(connect)

    def finish(self):
        for thread in self.threads:
            thread.join(40)
            assert not thread.is_alive(), "a conversation hangs"
        if self.failed:
            raise self.failed[0]


def exactly(sock, count):
    parts = []
    while count > 0:
        part = sock.recv(min(count, 65536))
        assert part, "the stream ended early"
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def bulk_send(sock):
    sock.sendall(BULK)
    sock.shutdown(1)
    assert sock.recv(10) == b""


def bulk_receive(sock):
    assert exactly(sock, len(BULK)) == BULK
    assert sock.recv(10) == b""


def talk(sock):
    """Questions, small and large, each after the answer to the last."""
    sock.setsockopt(6, 1, 1)
    for number in range(15):
        question = bytes((number,)) * (1 + number * 97)
        sock.sendall(len(question).to_bytes(2, "big") + question)
        assert exactly(sock, len(question)) == question[::-1]


def answer(sock):
    for _ in range(15):
        size = int.from_bytes(exactly(sock, 2), "big")
        sock.sendall(exactly(sock, size)[::-1])


def both_at_once(sock):
    """Bulk both ways, then a close at both ends."""
    sender = threading.Thread(target=sock.sendall, args=(BULK[:100_000],))
    sender.start()
    assert exactly(sock, 100_000) == BULK[:100_000]
    sender.join()


def converse(wire, ours, theirs, seed=1):
    """All the conversations; the stack's counters."""
    ends = Ends(seed, wire, ours, theirs)
    try:
        for client, base in (("kernel", 1000), ("stack", 2000)):
            ends.both(client, base + 1, bulk_receive, bulk_send)
            ends.both(client, base + 2, bulk_send, bulk_receive)
            ends.both(client, base + 3, answer, talk)
            ends.both(client, base + 4, both_at_once, both_at_once)
        ends.finish()
        assert ends.stack.host.failure is None
        return ends.stack.host.inspect(lambda stack: stack.counters)
    finally:
        ends.close()


@pytest.mark.parametrize("name", OURS)
def test_with_our_options(name):
    counters = converse(BAD, OURS[name], {})
    assert counters.TcpRetransSegs >= 8


@pytest.mark.parametrize("name", THEIRS)
def test_with_their_options(name):
    counters = converse(BAD, {}, THEIRS[name], seed=2)
    assert counters.TcpRetransSegs >= 8


def test_the_control_a_clean_wire_needs_next_to_no_retransmission():
    # (None but SYNs that a busy machine holds up for a second. It must not hold up other segments for long enough for a timer to expire.)
    counters = converse(CLEAN, {"tcp_tlp": False, "tcp_rto_min": 5_000 * MS}, {})
    assert counters.TcpRetransSegs < 8 and counters.TcpInCsumErrors == 0
