"""The recordings of a directory: what the search finds, what it leaves out, and what it costs at most."""

import os

import pytest

from pystack.stepper import scenarios
from pystack.stepper.web import found
from pystack.trace.errors import TraceError


@pytest.fixture(scope="module")
def recording():
    return scenarios.get("ping").record()


def paths(folder):
    files, cut = found.search(str(folder))
    return [one.path for one in files], cut


def test_the_first_bytes_say_what_a_file_is(tmp_path, recording):
    (tmp_path / "any name").write_bytes(recording)
    (tmp_path / "lan.pcapng").write_bytes(b"\x0a\x0d\x0d\x0a" + bytes(24))
    (tmp_path / "lan.pcap").write_bytes(b"\xd4\xc3\xb2\xa1" + bytes(20))
    (tmp_path / "text.pytrace").write_text("no recording")
    (tmp_path / "empty.pytrace").write_bytes(b"")
    files, cut = found.search(str(tmp_path))
    assert not cut
    assert [(one.path, one.kind) for one in files] == [
        ("any name", "recording"),
        ("lan.pcap", "capture"),
        ("lan.pcapng", "capture"),
    ]
    assert files[0].size == len(recording)


def test_what_is_left_out(tmp_path, recording):
    """Links, hidden directories, what is deeper than three levels, and what is no file: a FIFO does not make it wait."""
    deep = tmp_path
    for level in range(5):
        deep = deep / f"level{level}"
        deep.mkdir()
        (deep / "run").write_bytes(recording)
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "run").write_bytes(recording)
    os.symlink(tmp_path / "level0" / "run", tmp_path / "link")
    os.symlink("/", tmp_path / "root")
    os.mkfifo(tmp_path / "fifo")
    assert paths(tmp_path)[0] == ["level0/level1/level2/run", "level0/level1/run", "level0/run"]


def test_the_search_is_bounded(tmp_path, recording, monkeypatch):
    for number in range(30):
        (tmp_path / f"{number:02}").write_bytes(recording)
    assert len(paths(tmp_path)[0]) == 30 and not paths(tmp_path)[1]
    monkeypatch.setattr(found, "MOST_FILES", 10)
    assert len(paths(tmp_path)[0]) == 10 and paths(tmp_path)[1]
    monkeypatch.setattr(found, "MOST_ENTRIES", 5)
    assert len(paths(tmp_path)[0]) == 5 and paths(tmp_path)[1]


@pytest.mark.parametrize("path", ["../x", "a/../../x", "/etc/passwd", "", "a//b", "./a", "a\0b", "."])
def test_no_other_path_is_opened(tmp_path, path):
    with pytest.raises((TraceError, OSError)):
        found.open_below(str(tmp_path), path)


def test_a_directory_that_became_a_link_is_not_followed(tmp_path, recording):
    """Between the search and the opening."""
    (tmp_path / "here" / "runs").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    for folder in ("here/runs", "outside"):
        (tmp_path / folder / "run").write_bytes(recording)
    found.open_below(str(tmp_path / "here"), "runs/run").close()  # the control
    (tmp_path / "here" / "runs" / "run").unlink()
    (tmp_path / "here" / "runs").rmdir()
    os.symlink(tmp_path / "outside", tmp_path / "here" / "runs")
    with pytest.raises(OSError):
        found.open_below(str(tmp_path / "here"), "runs/run")
