"""tools/apt_sources.sh: where a new root or box gets Debian's packages from, as this machine does."""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOLD = """\
http://mirror.example/debian/|trixie|trixie|main|/usr/share/keyrings/none.pgp
http://mirror.example/debian/|trixie|trixie|contrib|/usr/share/keyrings/none.pgp
http://mirror.example/debian/|trixie-updates|trixie-updates|main|$(SIGNED_BY)
https://other.example/security/|stable-security|trixie-security|main|{key}
http://mirror.example/debian/|bookworm|bookworm|main|$(SIGNED_BY)
file:/usr/share/defaults/|./|$(CODENAME)|$(COMPONENT)|$(SIGNED_BY)
http://vendor.example/apt/|./|trixie|$(COMPONENT)|$(SIGNED_BY)
"""


def sources(folder: Path, suite: str, told: str, **environ: str) -> subprocess.CompletedProcess:
    """What the script says where apt-get would tell this."""
    (folder / "told").write_text(told)
    (folder / "apt-get").write_text(f'#!/bin/sh\n[ "$1" != indextargets ] || cat {folder}/told\n')
    (folder / "apt-get").chmod(0o755)
    env = {name: value for name, value in os.environ.items() if name != "PYSTACK_MIRROR"}
    env = env | {"PATH": f"{folder}:{env['PATH']}"} | environ
    command = [str(ROOT / "tools" / "apt_sources.sh"), suite]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=30)


def test_the_release_its_updates_and_its_security_updates(tmp_path):
    key = tmp_path / "key.pgp"
    key.touch()
    done = sources(tmp_path, "trixie", TOLD.format(key=key))
    assert done.stdout.splitlines() == [
        f"deb [signed-by={key}] https://other.example/security/ stable-security main",
        "deb http://mirror.example/debian/ trixie contrib",
        "deb http://mirror.example/debian/ trixie main",
        "deb http://mirror.example/debian/ trixie-updates main",
    ]


def test_a_mirror_that_was_named_is_the_only_one(tmp_path):
    done = sources(tmp_path, "trixie", TOLD, PYSTACK_MIRROR="http://here.example/debian")
    assert done.stdout == "deb http://here.example/debian trixie main\n"


@pytest.mark.parametrize("told", ["", "file:/folder/|./|trixie|main|\n", "http://mirror.example/|sid|sid|main|\n"])
def test_without_a_source_it_fails_and_says_so(tmp_path, told):
    done = sources(tmp_path, "trixie", told)
    assert done.returncode == 1 and done.stdout == ""
    assert "no source of Debian trixie" in done.stderr


def test_no_script_names_a_host():
    """Mirrors and registries are the machine's affair."""
    paths = [*ROOT.glob("tools/*.sh"), *ROOT.glob("vagrant/*"), ROOT / ".ci" / "run", ROOT / "Makefile"]
    scripts = [path for path in paths if path.suffix != ".md"]
    assert len(scripts) > 12
    for path in scripts:
        hosts = re.findall(r"\b(?:https?|ftp)://([a-z][\w-]*\.[\w.-]+)", path.read_text())
        assert hosts == [], path
