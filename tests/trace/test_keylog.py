"""TLS keys in a capture: tshark decrypts a real TLS session with them, and cannot without."""

import os
import shutil
import ssl
import subprocess

import pytest

from pystack.labs.tls import SimTls as Tls
from pystack.labs.tls import certificate
from pystack.sim.network import MS, Network, S
from pystack.sim.programs import spawn, stream
from pystack.trace import pcapng
from pystack.trace.errors import TraceError
from pystack.trace.keylog import Delayed, Keyed, KeyLog, inject
from tests.support.patience import until

LINE = b"CLIENT_RANDOM " + b"ab" * 32 + b" " + b"cd" * 48 + b"\n"
needs_tools = pytest.mark.skipif(
    shutil.which("tshark") is None or shutil.which("openssl") is None, reason="needs tshark and openssl"
)


def session(directory, keylog: str, version) -> str:
    """HTTP over TLS between two simulated hosts; the path of the annotated capture."""
    cert, key = certificate(directory)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(cert, key)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    client.minimum_version = client.maximum_version = version
    client.keylog_filename = keylog
    path = str(directory / "plain.pcapng")
    with Network(1) as net:
        a, b = net.host("a"), net.host("b")
        net.link(a, b, addrs=("10.0.0.1/24", "10.0.0.2/24"), delay=MS)
        net.annotated_capture(path)

        def serve():
            listener = stream(b)
            listener.bind("", 443)
            listener.listen()
            tls = Tls((yield listener.accept()), server, True)
            yield from tls.handshake()
            yield from tls.do(tls.tls.read, 1000)
            yield from tls.do(tls.tls.write, b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret")
            tls.sock.close()

        def get():
            sock = stream(a)
            yield sock.connect("10.0.0.2", 443)
            tls = Tls(sock, client, False)
            yield from tls.handshake()
            yield from tls.do(tls.tls.write, b"GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = yield from tls.do(tls.tls.read, 1000)
            sock.close()
            return answer

        spawn(net, serve())
        getter = spawn(net, get())
        net.run(20 * S)
    assert getter.value.endswith(b"secret")
    return path


def http(path: str) -> list[str]:
    """What tshark sees of HTTP in it."""
    command = ["tshark", "-r", path, "-Y", "http", "-T", "fields", "-e", "http.request.uri", "-e", "http.response.code"]
    out = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    return sorted({line.strip() for line in out.splitlines()})


@needs_tools
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tshark_decrypts_with_the_keys_and_not_without(tmp_path, version):
    keylog = str(tmp_path / "keys")
    path = session(tmp_path, keylog, version)
    assert http(path) == []  # the control
    with open(keylog, "rb") as file:
        keys = file.read()
    inject(path, str(tmp_path / "keyed.pcapng"), keys)
    assert http(str(tmp_path / "keyed.pcapng")) == ["/hidden", "/hidden\t200"]
    # wrong keys are no keys
    inject(path, str(tmp_path / "wrong.pcapng"), LINE)
    assert http(str(tmp_path / "wrong.pcapng")) == []
    # and the comments went along
    assert [frame.comments for frame in pcapng.read(path)] == [
        frame.comments for frame in pcapng.read(str(tmp_path / "keyed.pcapng"))
    ]


def test_a_key_log_is_followed(tmp_path):
    path = tmp_path / "keys"
    log = KeyLog(str(path))
    assert log.new() == b""  # it is not there yet
    path.write_bytes(b"# made by a test\n" + LINE + LINE[:20])
    assert log.new() == LINE
    with open(path, "ab") as file:
        file.write(LINE[20:] + b"\x00garbage\n" + b"CLIENT_RANDOM zz zz\n")
    assert log.new() == LINE
    assert log.new() == b""
    path.write_bytes(LINE)  # begun anew
    assert log.new() == LINE


def test_keys_stand_in_front_of_the_frames_of_the_last_moment(tmp_path):
    path, keys = str(tmp_path / "c.pcapng"), tmp_path / "keys"
    with open(path, "wb") as out:
        writer = pcapng.PcapngWriter(out)
        number = writer.interface("x")
        sink = Delayed(Keyed(lambda data: writer.packet(number, 0, data), writer, KeyLog(str(keys))), delay=0.2)
        sink(b"hello" * 20)
        keys.write_bytes(LINE)
        assert until(lambda: writer.packets == 1)
        sink(b"more" * 20)
        sink.close()
        sink.close()
        assert writer.packets == 2
    raw = (tmp_path / "c.pcapng").read_bytes()
    assert raw.index(LINE) < raw.index(b"hello") < raw.index(b"more") and raw.count(LINE) == 1


def test_nothing_to_inject_is_an_error(tmp_path):
    with open(tmp_path / "a", "wb") as out:
        pcapng.PcapngWriter(out)
    with pytest.raises(TraceError, match="no keys"):
        inject(str(tmp_path / "a"), os.devnull, b"what\n")
