"""Lab 5: one GET of 10,000 bytes, captured on both sides and read with the real tcpdump."""

import shutil
import subprocess

import pytest

from pystack.phy.match import is_data
from pystack.testing.lab import MS, lab_net
from pystack.trace.pcapng import OUTBOUND, read

pytestmark = pytest.mark.skipif(shutil.which("tcpdump") is None, reason="needs tcpdump")


def get(tmp_path, drop=0):
    """The two captures: the server's (the sender of the data) and the client's."""
    lab = lab_net(25 * MS)
    paths = [str(tmp_path / name) for name in ("server.pcapng", "client.pcapng")]
    lab.net.capture(paths[0], lab.b.port())
    lab.net.capture(paths[1], lab.a.port())
    if drop:
        lab.link.ba.drop(drop, match=is_data)
    listener = lab.listener()

    def serve():
        sock = yield listener.accept()
        yield sock.recv_exactly(100)
        yield sock.sendall(bytes(10_000))
        sock.close()

    def fetch():
        sock = yield from lab.client()
        yield sock.sendall(bytes(100))
        yield sock.recv_all()
        sock.close()

    lab.run(serve(), fetch())
    lab.net.run_until_idle()
    lab.net.close()
    return paths


def count(path, expression):
    out = subprocess.run(
        ["tcpdump", "-nn", "-r", path, expression], capture_output=True, text=True, timeout=30, check=True
    )
    return len(out.stdout.splitlines())


DATA = "tcp and src port {} and (ip[2:2] - ((ip[0]&0xf)<<2) - ((tcp[12]&0xf0)>>2)) != 0"


def test_tcpdump_counts(tmp_path):
    for path in get(tmp_path):
        assert count(path, "tcp[13]&2!=0") == 2
        assert count(path, "tcp[13]&1!=0") == 2
        assert count(path, "tcp[13]&4!=0") == 0
        assert count(path, DATA.format(80)) == 7
        assert count(path, DATA.replace("src", "dst").format(80)) == 1


def test_the_two_captures_hold_the_same_shifted_by_the_delay(tmp_path):
    server, client = (list(read(path)) for path in get(tmp_path))
    for sent_by, received_by in ((server, client), (client, server)):
        sent = [(frame.time + 25 * MS, frame.data) for frame in sent_by if frame.direction == OUTBOUND]
        received = [(frame.time, frame.data) for frame in received_by if frame.direction != OUTBOUND]
        assert sent == received and len(sent) > 4


def test_control_a_dropped_segment_is_only_in_the_senders(tmp_path):
    server, client = get(tmp_path, drop=3)
    assert count(server, DATA.format(80)) == 8
    assert count(client, DATA.format(80)) == 7
