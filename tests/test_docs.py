"""What README and docs/ say is so."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from pystack.cli.main import COMMANDS, cli
from pystack.demo import checks

ROOT = Path(__file__).resolve().parents[1]


def test_every_option_of_the_command_is_in_its_page():
    page = (ROOT / "docs" / "reference" / "cli.md").read_text()
    for name in COMMANDS:
        section = page.split(f"\n## pystack {name}\n")[1].split("\n## ")[0]
        text = CliRunner().invoke(cli, [name, "--help"], prog_name="pystack").output
        options = set(re.findall(r"(?<![\w-])--[a-z-]+", text.split("Options:")[1]))
        told = set(re.findall(r"(?<![\w-])--[a-z-]+", section.split("Options:")[1]))
        assert options == told, f"pystack {name}: run tools/cli_docs.py"


@pytest.mark.parametrize(
    "path",
    [
        "README.md",
        "docs/tutorial/getting-started.md",
        "docs/explanation/architecture.md",
        "docs/reference/stepper-terminal.md",
    ],
)
def test_links_lead_somewhere(path):
    text = (ROOT / path).read_text()
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if not target.startswith("http"):
            assert (ROOT / path).parent.joinpath(target).exists(), target


def test_the_make_targets_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    for path in ("README.md", "docs/tutorial/getting-started.md"):
        assert set(re.findall(r"\bmake ([a-z-]+)", (ROOT / path).read_text())) <= targets | {"git"}


def possible() -> bool:
    try:
        checks.check_tun()
        return os.geteuid() == 0 and checks.may_unshare()
    except checks.MissingRequirement:
        return False


@pytest.mark.kernel
@pytest.mark.skipif(not possible(), reason="needs root and /dev/net/tun")
def test_the_readmes_program_runs(tmp_path):
    """The program serves one connection; the kernel's side reads what it says."""
    (program,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    script = tmp_path / "program.py"
    script.write_text(program)
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    server = subprocess.Popen(["unshare", "-n", sys.executable, str(script)], env=env, stderr=-1, text=True)
    try:
        client = ["nsenter", f"--net=/proc/{server.pid}/ns/net", "bash", "-c", "cat < /dev/tcp/10.0.0.2/80"]
        output = ""
        for _ in range(100):
            output = subprocess.run(client, capture_output=True, text=True, timeout=20).stdout
            if output or server.poll() is not None:
                break
            time.sleep(0.05)
        assert output == "hello\n", server.stderr.read() if server.stderr and server.poll() is not None else ""
        assert server.wait(20) == 0
    finally:
        server.kill()
        server.wait()
        if server.stderr is not None:
            server.stderr.close()
