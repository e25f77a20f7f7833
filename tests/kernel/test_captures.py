"""A capture that tcpdump made of the kernel's TCP: the stepper opens it, and agrees with tshark in each frame."""

import shutil
import subprocess
import sys

import pytest

from pystack.kernel.netns import Namespace
from pystack.stepper import Timeline
from pystack.stepper.explain import why
from tests.kernel.hosts import fins
from tests.stepper.capture import corpus
from tests.support.patience import until

pytestmark = pytest.mark.skipif(
    not (shutil.which("tcpdump") and shutil.which("tshark")), reason="needs tcpdump and tshark"
)

#: a sender that is faster than its reader, which begins late
TRANSFER = """
import socket, threading, time
listening = socket.create_server(("127.0.0.1", 8080))
def read():
    conn, _ = listening.accept()
    time.sleep(1)
    while conn.recv(4096):
        pass
    conn.sendall(b"done")
    conn.close()
reader = threading.Thread(target=read)
reader.start()
conn = socket.create_connection(("127.0.0.1", 8080), 20)
conn.sendall(bytes(3_000_000))
conn.shutdown(socket.SHUT_WR)
assert conn.recv(10) == b"done"
conn.close()
reader.join()
"""


def test_a_capture_of_the_kernels_tcp(tmp_path):
    path = tmp_path / "lo.pcap"
    with Namespace.new() as space:
        space.run(["ip", "link", "set", "lo", "up"], check=True, timeout=20)
        command = ["tcpdump", "-i", "lo", "-U", "--immediate-mode", "-s", "200", "-Z", "root", "-w", str(path), "tcp"]
        dump = space.popen(command, stderr=subprocess.PIPE, text=True)
        try:
            assert "listening" in dump.stderr.readline()
            space.run([sys.executable, "-c", TRANSFER], check=True, timeout=60)
            assert until(lambda: fins(path) >= 2)  # and so all that came before the FINs
        finally:
            dump.terminate()
            dump.communicate(timeout=20)
    timeline = Timeline.load(str(path))
    (talk,) = timeline.conversations()
    sent = {entry.frame: entry.fields["length"] for entry in timeline.events if entry.kind == "tcp.out"}
    again = {
        entry.frame for entry in timeline.events if entry.kind == "tcp.inferred" and "retransmission" in entry.reason
    }
    assert talk.bytes[0] - sum(sent[frame] for frame in again) == 3_000_000
    assert talk.bytes[1] == 4 and talk.handshake > 0
    theirs = corpus.expert(path)
    assert corpus.ours(timeline) == {number: expert.findings for number, expert in theirs.items()}
    assert timeline.counts()["zero_window"] and timeline.counts()["window_update"]
    assert all(str(why(timeline, frame=frame.number)) for frame in timeline.frames)
