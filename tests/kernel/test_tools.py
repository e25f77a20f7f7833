"""The tools that everybody has, against the stack: curl, wrk, nmap, traceroute, tshark."""

import hashlib
import re
import shutil
import subprocess
import time

import pytest

from pystack import services, socket
from tests.kernel.test_tcp import in_thread, listener
from tests.support.patience import PATIENCE, until


def need(*tools):
    """Skip where a tool is missing."""
    missing = [tool for tool in tools if shutil.which(tool) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


@pytest.fixture
def web(anynet):
    started = services.start("http:80", host=anynet.running.host)
    yield anynet
    for service in started:
        service.close()


@need("curl")
def test_curl_page_download_and_upload(web, tmp_path):
    page = web.sh("curl -sS http://10.0.0.2/").stdout
    assert "It answers" in page
    path = tmp_path / "bulk"
    head = web.sh(f"curl -sS -D - -o {path} http://10.0.0.2/bytes/10000000").stdout
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert path.stat().st_size == 10_000_000
    assert f"X-SHA256: {digest}" in head
    assert web.sh(f"curl -sS -T {path} http://10.0.0.2/up").stdout.strip() == digest
    # control: another file has another digest
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert web.sh(f"curl -sS -T {path} http://10.0.0.2/up").stdout.strip() != digest


@need("curl")
def test_curl_is_refused_elsewhere(web):
    done = web.sh("curl -sS http://10.0.0.2:81/")
    assert done.returncode == 7


@need("wrk")
@pytest.mark.slow
def test_wrk_has_no_errors(net):
    started = services.start("http:80", host=net.running.host)
    for options in ("", "-H Connection:\\ close"):
        # An answer that takes 2 s is an error for wrk, unless it is told otherwise. On a busy machine, an answer may take that long.
        command = ["wrk", "-c", "64", "-t", "2", "-d", "2", "--timeout", "30s"]
        command += [] if not options else ["-H", "Connection: close"]
        out = net.space.run([*command, "http://10.0.0.2/"], capture_output=True, text=True, timeout=60).stdout
        requests = int(re.search(r"(\d+) requests in", out)[1])
        assert requests > 500
        assert "Non-2xx" not in out
        if not options:
            assert "Socket errors" not in out
    for service in started:
        service.close()


@need("nmap")
def test_nmap_finds_exactly_the_open_ports(net):
    started = services.start("http:80", "echo:7/tcp", "daytime:13/tcp", host=net.running.host)
    out = net.sh("nmap -n -Pn -sT -p1-1000 10.0.0.2", timeout=60).stdout
    found = re.findall(r"^(\d+)/tcp\s+open", out, re.MULTILINE)
    assert found == ["7", "13", "80"]
    assert "997 closed" in out
    for service in started:
        service.close()


@need("traceroute")
@pytest.mark.parametrize("how", ["", "-I", "-T -p 80"])
def test_traceroute_ends_at_the_stack(net, how):
    services_ = services.start("http:80", host=net.running.host)
    out = net.sh(f"traceroute -n -q 1 -w 10 -m 3 {how} 10.0.0.2").stdout
    assert re.search(r"^ 1  10\.0\.0\.2 ", out, re.MULTILINE)
    for service in services_:
        service.close()


@need("tcpdump", "tshark")
def test_tshark_finds_nothing_wrong(tmp_path):
    """Without offload, so that every checksum on the wire is final; all that the stack sent is looked at."""
    from tests.kernel.conftest import make

    path = tmp_path / "capture.pcap"
    for net in make(offload=False):
        command = ["tcpdump", "-i", "tap0", "-U", "-s", "0", "-Z", "root", "-w", str(path), "src", "host", "10.0.0.2"]
        dump = net.space.popen(command, stderr=subprocess.PIPE, text=True)
        assert "listening" in dump.stderr.readline()
        started = services.start("http:80", "echo:7", host=net.running.host)
        net.sh("ping -c 2 -i 0.05 -s 5000 10.0.0.2")
        net.sh("curl -sS -o /dev/null http://10.0.0.2/bytes/1000000")
        net.space.run(["curl", "-sS", "-T", "-", "http://10.0.0.2/up"], input=bytes(1_000_000), capture_output=True)
        net.sh("curl -sS http://10.0.0.2:81/")
        net.sh("traceroute -n -q 1 -w 1 -m 2 10.0.0.2")
        udp = net.kernel(socket.SOCK_DGRAM)
        udp.connect(("10.0.0.2", 7))
        udp.send(bytes(4000))
        assert len(udp.recv(5000)) == 4000
        for service in started:
            service.close()
        until(lambda: path.stat().st_size > 1_000_000)  # tcpdump ends without what it has not read yet
        dump.terminate()
        dump.communicate(timeout=60)
    checks = []
    for proto in ("ip", "tcp", "udp"):
        checks += ["-o", f"{proto}.check_checksum:TRUE"]
    text = subprocess.run(
        ["tshark", "-r", str(path), *checks, "-Y", BAD, "-T", "fields", "-e", "frame.number", "-e", "_ws.col.Info"],
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout
    assert text == ""
    # control: tshark did see the frames, and judged their checksums
    count = subprocess.run(
        ["tshark", "-r", str(path), *checks, "-Y", "tcp.checksum.status == 1"],
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout.count("\n")
    assert count > 500


BAD = (
    "_ws.malformed or ip.checksum.status == 0 or tcp.checksum.status == 0 or udp.checksum.status == 0 "
    "or icmp.checksum.status == 0"
)


def test_bulk_through_plain_socket_programs(anynet):
    """iperf-like: one second each way, as fast as it goes, and all bytes arrive."""
    server = listener(anynet, 5001)
    client = anynet.kernel()
    client.connect(("10.0.0.2", 5001))
    conn, _ = server.accept()
    conn.settimeout(PATIENCE)
    for sender, receiver in ((client, conn), (conn, client)):
        stop = time.monotonic() + 0.5

        def pump(sock=sender, stop=stop):
            sent = 0
            while time.monotonic() < stop:
                sock.sendall(bytes(100_000))
                sent += 100_000
            sock.sendall(b"end")
            return sent + 3

        result = in_thread(pump)
        got = 0
        while True:
            data = receiver.recv(1 << 20)
            got += len(data)
            if data.endswith(b"end"):
                break
        assert got == result()
    conn.close()
