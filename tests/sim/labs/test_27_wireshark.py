"""Labs 27 and 28: what tshark reads out of our captures, and that our own reading agrees."""

import shutil
import subprocess

import pytest

from pystack.phy.match import is_data
from pystack.sim.network import MS, S
from pystack.sim.programs import sleep
from pystack.testing.lab import lab_net, pattern

pytestmark = pytest.mark.skipif(shutil.which("tshark") is None, reason="needs tshark")


def tshark(path, expression, *fields):
    command = ["tshark", "-r", str(path), "-Y", expression, "-T", "fields"]
    for field in fields or ("frame.number",):
        command += ["-e", field]
    out = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    return [line.split("\t") for line in out.splitlines()]


def transfer(path, *drops):
    """1 MB with one second in which the receiver's window is closed; the capture is the sender's."""
    lab = lab_net(10 * MS, server={"tcp_rmem": 65536})
    lab.net.capture(str(path), lab.a.port())
    lab.link.ab.drop(*drops, match=is_data)
    client, server = lab.connected()
    data = pattern(1_000_000)

    def put():
        yield client.sendall(data)
        client.close()

    def take():
        first = yield server.recv_exactly(500_000)
        yield sleep(S)
        rest = yield server.recv_all()
        server.close()
        return first + rest

    _, got = lab.run(put(), take())
    assert got == data
    lab.net.run_until_idle()
    lab.net.close()
    return lab


def own_retransmissions(lab):
    """Data that was sent before, by our own reading of the sender's frames."""
    highest = repeats = 0
    for segment in lab.log.data("a"):
        end = (segment.seq - lab.log.data("a")[0].seq + len(segment)) & 0xFFFFFFFF
        repeats += end <= highest
        highest = max(highest, end)
    return repeats


@pytest.mark.parametrize("drops", [(20, 40), ()], ids=["two drops", "control"])
def test_tcp_retransmissions_are_what_was_dropped(tmp_path, drops):
    path = tmp_path / "tcp.pcapng"
    lab = transfer(path, *drops)
    repeats = tshark(path, "tcp.analysis.retransmission || tcp.analysis.fast_retransmission")
    assert len(repeats) == len(drops) == own_retransmissions(lab)
    assert len(tshark(path, "tcp.analysis.zero_window")) >= 1
    duplicates = len(tshark(path, "tcp.analysis.duplicate_ack"))
    assert duplicates >= 6 if drops else duplicates == 0
    assert tshark(path, "_ws.malformed || tcp.checksum.status == 0 || ip.checksum.status == 0") == []
