"""Labs 29 to 32 without Wireshark: the commands on their pages show the messages that Wireshark's filters find."""

import re
import shlex

import pytest
from click.testing import CliRunner

from pystack.cli.main import cli
from pystack.labs.folders import labs

LABS = {int(lab.number): lab for lab in labs() if int(lab.number) in (29, 30, 31, 32)}


def commands(number):
    """Return the commands of the stepper on a page."""
    return re.findall(r"`(pystack step [^`]+)`", LABS[number].page)


def shown(number, folder, monkeypatch):
    """Write the lab's capture under the name on its page, and run the page's commands: {command: lines}."""
    monkeypatch.chdir(folder)
    (name,) = re.findall(r"--write (\S+\.pcapng)`", LABS[number].page)
    LABS[number].write(folder / name)
    found = {}
    for command in commands(number):
        assert name in command
        result = CliRunner().invoke(cli, shlex.split(command)[1:], standalone_mode=False)
        assert result.exception is None and result.return_value in (0, None), result.output
        found[command] = result.output.splitlines()
    return found


def test_http(tmp_path, monkeypatch):
    messages, talks = shown(29, tmp_path, monkeypatch).values()
    assert sum(" HTTP GET /picture/" in line for line in messages) == 10
    assert sum(" HTTP/1.1 200 OK" in line for line in messages) == 10 and len(messages) == 20
    assert sum("> 10.0.0.2:80" in line for line in talks) == 1


def test_http2(tmp_path, monkeypatch):
    for package in ("h2", "cryptography"):
        pytest.importorskip(package)
    listed, fields = shown(30, tmp_path, monkeypatch).values()
    for stream, path in ((1, "/0"), (3, "/1"), (5, "/2")):
        assert sum(line.endswith(f"HTTP/2 HEADERS, stream {stream}: GET {path}") for line in listed) == 1
        assert sum(line.endswith(f"HTTP/2 HEADERS, stream {stream}: 200") for line in listed) == 1
        assert any(f":path: {path}" in line for line in fields)
    assert sum("HTTP/2 connection preface" in line for line in listed) == 1
    assert sum("HTTP/2 SETTINGS: ACK" in line for line in listed) == 2


def test_mongodb(tmp_path, monkeypatch):
    listed, fields = shown(31, tmp_path, monkeypatch).values()
    asked = [line for line in listed if "MongoDB OP_MSG request" in line]
    assert len(asked) == 13 and sum(": getMore " in line for line in asked) == 10 and ": insert " in asked[0]
    answers = [line for line in listed if "MongoDB OP_MSG answer" in line]
    counts = [int(found[1]) for line in answers if (found := re.search(r"ok, (\d+) documents", line))]
    assert counts == [101, 899, *[100] * 10]
    assert any("Opcode: OP_MSG (2013)" in line for line in fields) and any('find: "things"' in line for line in fields)


def test_events(tmp_path, monkeypatch):
    (listed,) = shown(32, tmp_path, monkeypatch).values()
    events = [line for line in listed if " SSE event, id " in line]
    times = [float(line.split()[1]) for line in events]
    assert len(events) == 20 and len(listed) == 22
    assert all(abs(after - before - 0.1) < 1e-6 for before, after in zip(times, times[1:]))


def test_control_a_capture_without_messages_has_none(tmp_path, monkeypatch):
    """The lists above come from the bytes: with another port and other bytes, nothing is listed."""
    monkeypatch.chdir(tmp_path)
    LABS[29].write(tmp_path / "http.pcapng")
    data = (tmp_path / "http.pcapng").read_bytes()
    (tmp_path / "http.pcapng").write_bytes(data.replace(b"GET /", b"GOT /").replace(b"HTTP/1.1 200", b"HTTQ/1.1 200"))
    result = CliRunner().invoke(cli, ["step", "http.pcapng", "--messages"], standalone_mode=False)
    assert result.output.startswith("no messages")
