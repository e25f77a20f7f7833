"""Escape sequences in what a file or a peer says: shown, never sent to the terminal."""

import io
import json
import re
import unicodedata
from pathlib import Path

import pytest
from click.testing import CliRunner

from pystack.cli import main as cli_main
from pystack.cli.main import cli
from pystack.sim.network import MS, Network, S
from pystack.stepper import Timeline
from pystack.stepper.tui import TerminalSession
from pystack.style import Style
from pystack.trace.narrator import Narrator
from pystack.visible import one_line, pictures, visible
from pystack_c.tcp import user

ROOT = Path(__file__).resolve().parents[2]
#: clears the screen, sets the title, hides what follows; C1's CSI; a line of its own; the direction of writing
NASTY = "h\x1b[2J\x1b]0;title\x07\x1b[8m\x9b31m\nforged: passed\r\u202egnp\x7f"


def unsafe(text: str) -> list[str]:
    """The characters that a terminal must not get; tabs and ends of lines are fine."""
    return [c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") and c not in "\t\n"]


@pytest.fixture
def recording(tmp_path: Path) -> str:
    """Two hosts with hostile names, and a ping."""
    path = tmp_path / "run.pytrace"
    with Network(1) as net:
        net.record(str(path), title=NASTY)
        a, b = net.host(NASTY), net.host("b[red]" + NASTY)
        net.link(a, b, addrs=("10.0.0.1/24", "10.0.0.2/24"), delay=MS)
        a.setup("add_route", 0, 0, 0x0A000002)
        client = a.call(user.tcp_open, a.stack)
        a.call(user.connect, client, 0x0A000002, 80)
        net.run(S)
    return str(path)


def test_the_control_is_unsafe():
    assert len(unsafe(NASTY)) > 7


@pytest.mark.parametrize(
    "argv",
    [
        ["replay", "-v"],
        ["replay", "--set", "tcp_timestamps=false"],
        ["step", "--text"],
        ["step", "--text", "--at", "frame=2"],
        ["step", "--why", "--at", "event=3"],
        ["step", "--text", "--break", "frame.number == 2"],
        ["step", "--verify"],
        ["step", "--text", "--break", "nobody.cwnd"],
    ],
)
def test_no_command_sends_what_a_recording_says(recording, argv):
    result = CliRunner().invoke(cli, [argv[0], recording, *argv[1:]])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.output and unsafe(result.output) == []
    if "--verify" not in argv and "nobody.cwnd" not in argv:
        assert "\\x1b[2J" in result.output
    assert "\nforged" not in result.output


def test_an_error_of_a_command_is_escaped(tmp_path, capsys):
    script = tmp_path / "\x1b[31mx.pytrace"
    script.write_bytes(b"nothing")
    with pytest.raises(SystemExit):
        cli_main.main(["replay", str(script)])
    said = capsys.readouterr().err
    assert "\\x1b[31mx.pytrace" in said and unsafe(said) == []


@pytest.mark.parametrize("source", ["0 `echo \x1b[2J`", "0 %{ print('\x9b2J') }%", "0 \x1b[2J", "0 frob\u202e() = 0"])
def test_pkt_reports_are_escaped(tmp_path, source):
    script = tmp_path / "a\x1b[2J.pkt"
    script.write_text(source + "\n")
    result = CliRunner().invoke(cli, ["pkt", "-v", str(script)])
    assert result.output and unsafe(result.output) == []
    assert "\\x1b[2J.pkt" in result.output


def test_tables_of_a_running_stack_are_escaped(monkeypatch):
    rows = [{"ifindex": 1, "ifname": NASTY, "up": True, "mtu": 1500, "link_type": NASTY, "address": NASTY}]
    rows[0].update(addresses=[], offload={}, rx_frames=0, rx_bytes=0, tx_frames=0, tx_bytes=0)
    monkeypatch.setattr("pystack.control.server.query", lambda *_, **__: rows)
    for argv in (["addr"], ["addr", "-j"]):
        result = CliRunner().invoke(cli, argv)
        assert result.output and unsafe(result.output) == []
    assert json.loads(result.output)[0]["ifname"] == NASTY  # JSON has escapes of its own, and loses nothing


def test_styles_are_the_only_sequences():
    painted = Style(color=True)(NASTY, "red")
    assert painted.startswith("\x1b[31m") and painted.endswith("\x1b[0m")
    assert unsafe(painted[5:-4]) == []


def test_the_narrator_tells_it_escaped(recording):
    out = io.StringIO()
    narrator = Narrator(Style(color=False, stream=out), everything=True)
    from pystack.trace.annotate import FrameProbe
    from pystack.trace.replay import replay

    probe = FrameProbe(narrator.frame)
    replay(recording, probe=probe)
    probe.flush()
    narrator.close()
    assert out.getvalue() and unsafe(out.getvalue()) == []


def test_the_terminal_stepper_shows_pictures(recording):
    from tests.stepper.tui.screen import watch_session

    session = TerminalSession(Timeline.load(recording))

    async def story(person):
        for keys in ("f", "f", "1", "2", "3"):
            await person.press(keys)
            lines = person.lines()
            assert unsafe("".join(lines)) == []
        text = "\n".join(lines)
        assert "\N{SYMBOL FOR ESCAPE}[2J" in text
        assert "b[red]" in text  # no markup either

    watch_session(story, session)


def test_every_command_prints_by_echo():
    """A plain click.echo or print would send what it is given (the bar of progress writes its own carriage return)."""
    found = []
    for path in sorted((ROOT / "pystack" / "cli").glob("*.py")):
        if path.name == "style.py":
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if re.search(r"\bclick\.(?:echo|secho)\(|(?<![.\w])print\(", line) and not re.search(
                r"visible|one_line", line
            ):
                found.append(f"{path.name}:{number}")
    assert found == []


def test_what_is_escaped():
    assert visible("a\x1bb\x9bc\td\ne\u202ef\ud800g\U000e0041") == "a\\x1bb\\x9bc\td\ne\\u202ef\\ud800g\\U000e0041"
    assert one_line("a\tb\nc\r") == "a\\tb\\nc\\x0d"
    assert pictures("a\x1b\n\x7f\x9b") == "a\u241b\u240a\u2421\ufffd"
    assert visible("schön — 日本 😀") == "schön — 日本 😀"
    for code in range(0x110000):
        if not unsafe(visible(chr(code))) == []:
            assert unicodedata.category(chr(code)) == "Cf", hex(
                code
            )  # soft hyphens and letters' joiners, which are text
