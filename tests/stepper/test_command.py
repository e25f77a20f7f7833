"""`pystack step`: what it prints, and how it ends."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from pystack.cli import faces
from pystack.cli.main import cli, main
from pystack.cli.runs import ReadProgress
from pystack.sim.network import MS, Network
from pystack.stepper import Cursor, Timeline, scenarios, text
from pystack.stepper.scenarios.base import _Kept, connected
from pystack.stepper.tui import words

ROOT = Path(__file__).resolve().parents[2]


def run(*argv, status=0):
    result = CliRunner().invoke(cli, ["step", *argv])
    assert result.exit_code == status, result.output
    return result.output


@pytest.mark.parametrize(
    ("module", "name", "extra"),
    [("h11", "load-balancer-l7", "proxy"), ("dns", "dns-recursion", "dns"), ("greenlet", "dns-recursion", "sim")],
)
def test_a_scenario_that_needs_a_missing_extra(module, name, extra):
    code = f"import sys; sys.modules[{module!r}] = None; from pystack.cli.main import main; main(sys.argv[1:])"
    for command in (["step", name, "--text"], ["plot", name, "-o", "x.svg"], ["replay", name]):
        done = subprocess.run(
            [sys.executable, "-c", code, *command], capture_output=True, text=True, timeout=60, cwd=ROOT
        )
        assert done.returncode == 1 and done.stderr.startswith(f"Error: the scenario {name}: "), done.stderr
        assert done.stderr.endswith(f"pip install 'pystack[{extra}]'\n"), done.stderr


def test_list():
    said = run("--list")
    for name in scenarios.NAMES:
        assert re.search(rf"^{name} +{re.escape(scenarios.get(name).title)}$", said, re.M)


def test_text_tells_every_frame():
    said = run("handshake", "--text")
    assert [line.split()[0] for line in said.splitlines() if re.match(r" {1,4}\d", line)] == ["1", "2", "3"]
    assert "the third step of the handshake" in said


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("loss-fast-retransmit", "Fast retransmit: bytes 5793:7241"),
        ("rto", "Retransmission timeout: bytes 1:1449"),
        ("zero-window", "a stopped because b closed its window"),
        ("nagle", "40 ms are b's delayed ACK"),
    ],
)
def test_why_answers_on_the_screen(name, says):
    said = run(name, "--why")
    assert scenarios.get(name).question in said and says in said


def test_at_shows_a_place():
    said = run("rto", "--text", "--at", "frame=7")
    assert "frame.out" in said and "why: Retransmission timeout" in said and "cwnd 1448" in said
    assert "https://www.rfc-editor.org/rfc/rfc6298" in run("rto", "--text", "--at", "event=60") or "RFC" in said
    assert run("rto", "--text", "--at", "time=0.25") != run("rto", "--text", "--at", "time=0.35")


def test_at_a_frame_shows_the_state_after_it():
    """For a frame that was sent, with the timer that is set for it; for one that arrived, with all that it caused."""
    said = run("handshake", "--text", "--at", "frame=1")
    assert "timer retransmission: expires in 1000 ms" in said
    # the SYN as a host alone sees it, from outside
    timeline = one_sided()
    place = Cursor(timeline)
    place.goto(frame=1)
    assert place.entry.kind == "frame.in"
    said = text.place(place, whole=True)
    assert "state SYN-RECEIVED" in said and "tcp 10.0.0.2:80" in said
    assert "state SYN-RECEIVED" not in text.place(place)  # the event alone: nothing has happened yet


def one_sided():
    """A recording of b alone, which gets a SYN from outside."""
    out = _Kept()
    with Network(1) as net:
        net.record(out)
        recorder, net.recorder = net.recorder, None
        a = net.host("a")
        net.recorder = recorder
        b = net.host("b")
        net.link(a, b, addrs=("10.0.0.1/24", "10.0.0.2/24"), delay=10 * MS)
        net.introduce()
        connected(net, a, b)
    return Timeline.of(out.kept)


def test_values_that_are_not_set_are_dashes():
    """No "min_rtt -1 ns", no "recover ISS - 41 078 893": terminal, text and browser have one rule."""
    state = {"iss": 41078893, "irs": 0, "mss": 1448}
    for name, number in (("min_rtt", -1), ("srtt", 0), ("recover", 0), ("snd_wl1", 0), ("snd_wl2", 0)):
        assert text.value(name, number, state) == words.value(name, number, state) == "-"
    for name, number, shown in (("ssthresh", 1 << 30, "infinite"), ("recover", 41078893 + 2897, "2897")):
        assert text.value(name, number, state) == words.value(name, number, state) == shown
    assert text.value("rto", 200_000_000, state) == "200 ms"


def test_break_and_watch():
    said = run("rto", "--break", 'event.kind == "retransmit"')
    assert said.count('-- event.kind == "retransmit"') == 5 and said.endswith("5 stops\n")
    assert "a.backoff: 0 -> 1" in run("rto", "--watch", "a.backoff")


def test_no_stop_is_exit_status_1(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["step", "rto", "--break", "tcb.cwnd == 12345"])
    assert ended.value.code == 1 and capsys.readouterr().out == "0 stops\n"


def test_verify():
    assert "the states are the same forwards, backwards and forwards again" in run("nagle", "--verify")


def test_what_if():
    said = run("nagle", "--what-if", "nodelay=a")
    assert "last data: 0.19 s, and 0.04 s" in said and "= 4 frames are the same in both" in said


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        ([], "a recording or a scenario is needed"),
        (["nothing-like-that"], "there is no such file or scenario"),
        (["rto", "--at", "frame=1000"], "there is no frame 1000; there are 14"),
        (["rto", "--at", "somewhere"], "frame=N, event=N, time=SECONDS"),
        (["rto", "--break", "tcb.cwind"], "did you mean cwnd"),
        (["rto", "--what-if", "drop=1000"], "there is no frame 1000"),
        (["rto", "--what-if", "nonsense"], "is not a change"),
    ],
)
def test_wrong_usage(argv, says):
    assert says in run(*argv, status=2)


def test_a_face_that_is_not_installed_says_how_to_get_it():
    with pytest.raises(Exception, match=r"it needs the package no_such_package_here: pip install 'pystack\[tui\]'"):
        faces.face("no_such_package_here", "run", "tui", "it")


def test_large_files_show_progress(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    progress = ReadProgress("run.pytrace")
    for done in range(11):
        progress(done << 20, 10 << 20)
    assert capsys.readouterr().err.endswith("\rreading run.pytrace: 100 %\n")
    progress = ReadProgress("small")
    progress(1000, 1000)
    assert capsys.readouterr().err == ""
