"""Where the time of a real curl went: recorded at the stack, and captured by tcpdump between curl and nginx. Chosen frames are lost on the way."""

import json
import shutil
import socket
import subprocess
import sys

import pytest
from click.testing import CliRunner

from pystack.cli.main import cli
from pystack.sim import MS, Network
from pystack.sim.network import S
from tests.kernel.hosts import fins
from tests.support.patience import until

DELAY = 10 * MS
#: bytes of an answer that fits into the first window of ten segments, with its header
SIZE = 14_000
SEGMENTS = 10
#: the stack retransmits only what acknowledgements show to be lost, however long the machine is busy
PATIENT = {"tcp_tlp": False, "tcp_rto_min": 5 * S}
URL = "http://10.0.0.2/file"


def data_of(frame):
    """The bytes of data of a TCP segment in an Ethernet frame; 0 for other frames."""
    if frame[12:14] != b"\x08\x00" or frame[23] != 6:
        return 0
    head = (frame[14] & 15) * 4
    return int.from_bytes(frame[16:18], "big") - head - (frame[14 + head + 12] >> 4) * 4


def lose(channel, numbers):
    """Lose the segments with data that have these numbers, from 1. Returns a list that gets the length of each segment with data."""
    seen = []

    def meddle(frame, now, arrivals):
        if data_of(frame) == 0:
            return arrivals
        seen.append(data_of(frame))
        return [] if len(seen) in numbers else arrivals

    channel.meddle = meddle
    return seen


def request_of(conn):
    """Receive a request, and its body: of a known length, or in chunks."""
    got = b""
    while b"\r\n\r\n" not in got:
        got += conn.recv(65536)
    head, _, body = got.partition(b"\r\n\r\n")
    while b"chunked" in head and not body.endswith(b"0\r\n\r\n"):
        body += conn.recv(65536)


def server():
    """Answers each request with SIZE bytes."""
    with socket.create_server(("", 80)) as listener:
        while True:
            conn, _ = listener.accept()
            with conn:
                request_of(conn)
                conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE + bytes(SIZE))
                while conn.recv(65536):
                    pass


def time_of(file, *options):
    """What `pystack time` says of a file: the sums in ns by (cause, why). Its text must say the same."""
    result = CliRunner().invoke(cli, ["time", str(file), *options, "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.output)
    sums = {}
    for span in found["spans"]:
        key = span["cause"], span["why"]
        sums[key] = sums.get(key, 0) + span["end"] - span["start"]
    assert sum(sums.values()) == found["elapsed"] > 0
    text = CliRunner().invoke(cli, ["time", str(file), *options]).output
    for cause, why in sums:
        assert (f"{cause} ({why})" if why else cause) in text
    return sums


def recorded_with(tmp_path, command, lost, segments, **settings):
    """The same once more if a busy machine let another timer expire, so that there were other segments than `segments`."""
    for attempt in range(4):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        sums, seen = recorded(folder, command, lost, **settings)
        if len(seen) == segments:
            break
    assert len(seen) == segments
    return sums


def recorded(tmp_path, command, lost=(), **settings):
    """Run a command on a kernel host, against the server on a host of pystack that is recorded. Lose segments of the server."""
    file = tmp_path / "run.pytrace"
    with Network(seed=1) as net:
        net.record(str(file))
        client, host = net.kernel("client"), net.host("server", **settings)
        # Any chance of loss makes the link carry single frames, and no groups with offload.
        link = net.link(client, host, addrs=("10.0.0.1/24", "10.0.0.2/24"), delay=DELAY, loss=1e-12)
        seen = lose(link.ba, lost)
        assert net.run({client: command}, background={host: server}) == {client: 0}
        net.run(net.now + 100 * MS)
    return time_of(file), seen


CURL = ["curl", "-sS", "-o", "/dev/null", URL]


def test_a_lost_segment_is_found_out_by_acknowledgements(tmp_path):
    sums, seen = recorded(tmp_path, CURL, lost=(3,), **PATIENT)
    assert len(seen) == SEGMENTS + 1
    # RACK waits for a part of the round trip if the acknowledgements of later segments come one by one.
    assert sum(time for (_, why), time in sums.items() if why in ("loss, fast retransmit", "loss")) >= 2 * DELAY
    assert not any(cause in ("RTO", "tail loss probe") for cause, _ in sums)


def test_the_loss_of_the_last_segment_is_found_out_by_the_timer(tmp_path):
    sums = recorded_with(tmp_path, CURL, (10,), SEGMENTS + 1, tcp_tlp=False)
    assert sums["RTO", "loss, retransmission timeout"] >= 200 * MS


def test_the_timeout_doubles_if_the_retransmission_is_lost_too(tmp_path):
    sums = recorded_with(tmp_path, CURL, (10, 11), SEGMENTS + 2, tcp_tlp=False)
    assert sums["RTO", "loss, retransmission timeout"] >= 3 * 200 * MS


def test_control_without_loss_there_is_no_wait_for_it(tmp_path):
    sums, seen = recorded(tmp_path, CURL, **PATIENT)
    assert len(seen) == SEGMENTS
    assert not any(why.startswith("loss") or cause in ("RTO", "tail loss probe") for cause, why in sums)


#: uploads a body in three small chunks
CHUNKS = "(printf aaaa; sleep 0.02; printf bbbb) | curl -sS -o /dev/null -H Expect: %s -T - " + URL


def waits_for_delayed_acks(tmp_path, options, expected):
    """Whether curl waits for delayed ACKs: as expected if it does so in one of a few runs.

    On a busy machine it may have its next chunk only after 40 ms, when the chunk before has been acknowledged.
    """
    for attempt in range(4):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        sums, _ = recorded(folder, ["sh", "-c", CHUNKS % options], tcp_quickack_segs=0, **PATIENT)
        found = sum(time for (cause, _), time in sums.items() if cause == "delayed ACK")
        if (found >= 30 * MS) == expected:
            return expected
    return not expected


def test_a_delayed_ack_of_the_stack_makes_curl_wait(tmp_path):
    """curl with Nagle's algorithm keeps a small chunk until the one before it is acknowledged, which the stack does after 40 ms."""
    assert waits_for_delayed_acks(tmp_path, "--no-tcp-nodelay", True)


def test_control_with_tcp_nodelay_it_does_not_wait(tmp_path):
    assert not waits_for_delayed_acks(tmp_path, "--tcp-nodelay", False)


# -- a capture of other programs on both sides -----------------------------------------------------------------------------

needs_programs = pytest.mark.skipif(
    not all(map(shutil.which, ("nginx", "tcpdump", "curl"))), reason="nginx, tcpdump and curl are not installed"
)
CONFIGURATION = """
daemon off; master_process off; user root; pid {0}/pid; error_log stderr; events {{}}
http {{
  access_log off; client_body_temp_path {0}/1; proxy_temp_path {0}/2; fastcgi_temp_path {0}/3; uwsgi_temp_path {0}/4; scgi_temp_path {0}/5;
  server {{ listen 80; root {0}; }}
}}
"""


def dumping(host, file):
    """Start tcpdump on a kernel host, and wait until it captures.

    With --immediate-mode the kernel's buffer has a slot of this size for each frame. With the default size there are eight slots.
    """
    words = ["-p", "--immediate-mode", "-s", "2000", "-U", "-Z", "root", "-i", "any", "-w", str(file), "tcp"]
    tcpdump = host.popen(["tcpdump", *words], stderr=subprocess.PIPE, text=True)
    while "listening on" not in host.wait_for(tcpdump.stderr.readline):
        pass
    return tcpdump


def captured(tmp_path, lost=(), size=SIZE):
    """tcpdump's file of a curl that gets two files from nginx on one connection, and what the wire saw of nginx's segments with data."""
    (tmp_path / "file").write_bytes(bytes(size))
    (tmp_path / "nginx.conf").write_text(CONFIGURATION.format(tmp_path))
    file = tmp_path / "lan.pcap"
    with Network(seed=1) as net:
        client, host = net.kernel("client"), net.kernel("server")
        link = net.link(client, host, addrs=("10.0.0.1/24", "10.0.0.2/24"), delay=DELAY, loss=1e-12)
        host.sysctl("ipv4.tcp_early_retrans", "0")  # no tail probes, which a busy machine could cause
        seen = lose(link.ba, lost)
        nginx = host.popen(["nginx", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")], stderr=subprocess.PIPE)
        tcpdump = dumping(client, file)
        twice = ["curl", "-sS", "-o", "/dev/null", "-o", "/dev/null", "--retry", "9", "--retry-connrefused", URL, URL]
        done = client.run(twice, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, "")
        # tcpdump ends without what it has not read yet.
        assert client.wait_for(lambda: until(lambda: fins(file) >= 2))
        for process, place in ((tcpdump, client), (nginx, host)):
            process.terminate()
            place.wait(process, 20)
            process.stderr.close()
    return file, seen


@needs_programs
def test_a_real_capture_has_the_handshake_and_both_requests(tmp_path):
    file, _ = captured(tmp_path)
    sums = time_of(file)
    assert sums["on the way", "connection"] >= 2 * DELAY
    text = CliRunner().invoke(cli, ["time", str(file)]).output
    rows = [line.split() for line in text.splitlines() if "--from" in line]
    assert [row[-2:] for row in rows] == [["GET", "/file"]] * 2
    for row in rows:
        one = time_of(file, *row[2:6])
        assert one["on the way", ""] >= 2 * DELAY


@needs_programs
def test_a_loss_in_a_real_capture_is_waited_for(tmp_path):
    """The third segment of the first answer is lost. The client sees a hole, and its bytes a round trip later."""
    for attempt in range(4):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        file, seen = captured(folder, lost=(3,))
        if len(seen) == 2 * SEGMENTS + 1:  # the machine was not so busy that another timer expired
            break
    sums = time_of(file)
    assert sum(time for (_, why), time in sums.items() if why.startswith("loss")) >= 2 * DELAY


@needs_programs
def test_control_a_real_capture_without_loss_has_no_wait_for_it(tmp_path):
    for attempt in range(4):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        file, seen = captured(folder)
        if len(seen) == 2 * SEGMENTS:
            break
    assert not any(why.startswith("loss") for _, why in time_of(file))


@needs_programs
def test_a_lost_first_answer_is_a_timer_and_no_thinking_of_nginx(tmp_path):
    """The client sees no first copy. The identifications of Linux count the packets of the connection, and skip one."""
    file, seen = captured(tmp_path, lost=(1,), size=300)
    assert len(seen) >= 3
    sums = time_of(file)
    assert sums["RTO", "loss, retransmission timeout"] >= 200 * MS
    assert sums.get(("server thinking", ""), 0) < 150 * MS


@needs_programs
def test_control_without_a_loss_no_timer_expired(tmp_path):
    file, seen = captured(tmp_path, size=300)
    assert len(seen) == 2
    assert not any(cause == "RTO" for cause, _ in time_of(file))


WRITES = """
import socket, time
with socket.create_server(("", 80)) as listener:
    print("ready", flush=True)
    conn, _ = listener.accept()
    conn.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
    conn.recv(1000)
    due = time.monotonic()
    for _ in range(30):
        conn.sendall(bytes({size}))
        due += {every}
        time.sleep(max(due - time.monotonic(), 0))
    conn.shutdown(socket.SHUT_WR)
    conn.recv(1000)
"""
READS = """
import socket
conn = socket.create_connection(("10.0.0.2", 80))
conn.sendall(bytes(100))
while conn.recv(1 << 20):
    pass
"""


def written(tmp_path, size, every):
    """The captures at both ends, by a server of the kernel that writes 30 pieces of `size` bytes, one each `every` seconds."""
    files = []
    with Network(seed=1) as net:
        client, host = net.kernel("client"), net.kernel("server")
        net.link(client, host, addrs=("10.0.0.1/24", "10.0.0.2/24"), delay=DELAY)
        program = WRITES.format(size=size, every=every)
        server = host.popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
        assert host.wait_for(server.stdout.readline) == "ready\n"
        dumps = []
        for place in (client, host):
            files.append(tmp_path / f"{place.name}.pcap")
            dumps.append(dumping(place, files[-1]))
        client.run([sys.executable, "-c", READS], timeout=60, check=True)
        host.wait(server, 20)
        net.run(net.now + 100 * MS)
        for process, place in zip(dumps, (client, host)):
            process.terminate()
            place.wait(process, 20)
            process.stderr.close()
        server.stdout.close()
    return files


def thinking(file):
    return sum(time for (cause, _), time in time_of(file).items() if cause == "server thinking")


@needs_programs
def test_a_server_that_writes_as_it_computes_thinks_at_both_ends(tmp_path):
    """Its round trip is just as long as it computes, so that acknowledgements come when it writes."""
    for file in written(tmp_path, 50_000, 0.02):
        assert thinking(file) >= 250 * MS


@needs_programs
def test_control_a_server_that_has_everything_does_not_think(tmp_path):
    for file in written(tmp_path, 100_000, 0):
        assert thinking(file) < 100 * MS
