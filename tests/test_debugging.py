"""docs/howto/debugging.md: uncompiled, the state machine stops under pdb and under VS Code's launch configuration."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pystack import _build
from pystack.stepper import scenarios
from tests.support.dap import Editor, configuration

ROOT = Path(__file__).resolve().parents[1]


def debug(tmp_path) -> str:
    """What pdb prints for the page's commands."""
    page = (ROOT / "docs" / "howto" / "debugging.md").read_text()
    (program,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    commands = re.findall(r"^\(Pdb\) (.*)$", page, re.MULTILINE)
    (tmp_path / "handshake.py").write_text(program)
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYSTACK_PURE": "1"}
    result = subprocess.run(
        [sys.executable, "-m", "pdb", str(tmp_path / "handshake.py")],
        input="\n".join([*commands, "q", ""]),
        capture_output=True,
        text=True,
        timeout=60,
        env=env,
        cwd=tmp_path,
    )
    return result.stdout


def test_pdb_stops_in_the_state_machine(tmp_path):
    out = debug(tmp_path)
    assert re.search(r"Breakpoint 1 at .*pystack_c/tcp/input\.py:\d+", out), out
    assert re.search(r"\(3, 'SYN-RECEIVED', 'tcp 10\.0\.0\.2:80-10\.0\.0\.1:\d+'\)", out), out


STATE_MACHINE = ROOT / "pystack_c" / "tcp" / "input.py"


def line_of(text: str) -> int:
    """The line of the state machine with this text."""
    (line,) = [n for n, line in enumerate(STATE_MACHINE.read_text().splitlines(), 1) if line.strip() == text]
    return line


def test_the_editors_launch_configuration_stops_in_the_state_machine():
    """VS Code's configuration, driven as VS Code drives it: debugpy's adapter, DAP, a breakpoint by file and line."""
    pytest.importorskip("debugpy")
    settings = configuration("pystack: a scenario, uncompiled", **{"input:scenario": "handshake"})
    line = line_of("length = segment_len(pkt)")
    with Editor() as editor:
        (placed,) = editor.launch(settings, {STATE_MACHINE: [line]})
        assert placed["verified"] and placed["line"] == line
        frame = editor.stopped()
        assert (Path(frame["source"]["path"]), frame["line"], frame["name"]) == (STATE_MACHINE, line, "other_states")
        assert editor.value("STATE_NAMES[tcb.state]", frame) == "'SYN-RECEIVED'"
        assert editor.value("pkt.tcp_flags == C.ACK", frame) == "True"
        # a step over one line, and the variable that it set
        editor.ask("next", threadId=editor.thread)
        frame = editor.stopped()
        assert frame["name"] == "other_states" and editor.value("length", frame) == "0"
        editor.ask("setBreakpoints", source={"path": str(STATE_MACHINE)}, breakpoints=[])
        editor.ask("continue", threadId=editor.thread)
        editor.event("terminated")
    assert "ESTABLISHED" in "".join(editor.output)


def test_control_compiled_the_breakpoint_is_never_met():
    """Without PYSTACK_PURE=1 the same breakpoint stops nothing: the configuration's environment is what does it."""
    pytest.importorskip("debugpy")
    if not any(module.extension for module in _build.modules()):
        pytest.skip("the core is not compiled")
    settings = configuration("pystack: a scenario, uncompiled", **{"input:scenario": "handshake"})
    settings["env"] = {"PYSTACK_PURE": "0"}
    with Editor() as editor:
        editor.launch(settings, {STATE_MACHINE: [line_of("length = segment_len(pkt)")]})
        assert editor.event("stopped", "terminated")["event"] == "terminated", "".join(editor.output)


def test_the_configurations_scenarios_are_all_there_are():
    launch = json.loads((ROOT / ".vscode" / "launch.json").read_text())
    (choice,) = launch["inputs"]
    assert choice["options"] == list(scenarios.NAMES)
