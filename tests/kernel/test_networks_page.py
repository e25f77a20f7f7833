"""docs/howto/networks.md: its code and its commands run, with nginx, curl and wrk; also as an ordinary user."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kernel.hosts import ROOT, as_nobody, environment, processes, pystack

PAGE = (ROOT / "docs" / "howto" / "networks.md").read_text()
NEEDED = [name for name in ("nginx", "curl", "wrk", "ss") if shutil.which(name) is None]
WITH_PROGRAMS = pytest.mark.skipif(bool(NEEDED), reason=f"needs {', '.join(NEEDED)}")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.M | re.S)


def shop(folder: Path) -> Path:
    """The files of the page in a folder."""
    folder.mkdir(exist_ok=True)
    (folder / "shop.py").write_text(next(block for block in blocks("python") if "def network(" in block))
    (folder / "nginx.conf").write_text(*blocks("nginx"))
    (folder / "index.html").write_text("hello\n")
    return folder


def test_the_code_with_kernel_hosts(capfd):
    first, second, _, _ = blocks("python")
    space: dict[str, object] = {}
    exec(compile(first, "networks.md", "exec"), space)
    said = capfd.readouterr().out
    assert "3 packets transmitted, 3 received, 0% packet loss" in said
    assert min(map(float, re.findall(r"time=([0-9.]+) ms", said))) >= 50
    assert "frames reached kernel hosts" in said
    exec(compile(second, "networks.md", "exec"), space)


def test_the_code_of_the_container_host():
    pytest.importorskip("dns")
    *_, last = blocks("python")
    exec(compile("from pystack.sim import Network\n" + last, "networks.md", "exec"), {})


@WITH_PROGRAMS
def test_the_commands(tmp_path):
    folder = shop(tmp_path / "shop")
    commands = f'pystack() {{ "{sys.executable}" -m pystack.cli "$@"; }}\n{blocks("sh")[0]}'
    done = subprocess.run(
        ["bash", "-ec", commands],
        capture_output=True,
        text=True,
        timeout=180,
        cwd=folder,
        env=environment(tmp_path / "home"),
    )
    assert done.returncode == 0, done.stderr
    drawing, _, rest = done.stdout.partition("hello\n")
    assert "web  (kernel host)\n  eth0  192.0.2.2/24  --- home eth0  delay 25ms\n" in drawing
    assert "  route default via 10.0.0.1\n" in drawing
    assert re.search(r"^ +[0-9]+ requests in ", rest, re.M)
    assert "laptop: 0\n" in rest
    assert "desktop: 0\n" in rest
    assert "frames reached kernel hosts" in rest
    assert re.search(r"src=10\.0\.0\.[23] dst=192\.0\.2\.2 .*src=192\.0\.2\.2 dst=192\.0\.2\.1 ", rest)
    assert rest.startswith("blocked\n") and "curl: (28)" in done.stderr
    assert "  home  drop  tcp 10.0.0.2:" in rest
    assert "the rule with handle 4 in chain forward of table ip firewall says drop." in rest
    assert "Address translation: 10.0.0." in rest
    assert "changes the source to 192.0.2.1:" in rest
    svg = (folder / "shop.svg").read_text()
    for words in ("web (kernel host)", "eth0 192.0.2.2/24", "route default via 10.0.0.1", "delay 25ms"):
        assert words in svg
    log = (folder / "access.log").read_text().splitlines()
    assert len(log) > 3
    assert all(line.startswith("192.0.2.1 ") for line in log)  # nginx saw the NAT
    assert processes(str(folder)) == []


@WITH_PROGRAMS
@pytest.mark.parametrize("firewall", [True, False])
def test_the_firewall_lets_the_web_pass_and_counts_the_rest(tmp_path, firewall):
    """Without it, the port that it blocks answers."""
    space: dict[str, object] = {}
    text = next(block for block in blocks("python") if "def network(" in block)
    exec(compile(text if firewall else text.replace("    home.nft(FIREWALL)\n", ""), "shop.py", "exec"), space)
    folder = shop(tmp_path / "shop")
    with space["network"]() as net:
        web, laptop, home = (net.kernels.get(n) or net.hosts[n] for n in ("web", "laptop", "home"))
        server = web.popen(["nginx", "-e", "stderr", "-p", ".", "-c", "nginx.conf"], cwd=folder)
        curl = ["curl", "-sS", "-m", "3"]
        # The first one retries while nginx starts. Then nginx listens at both ports.
        curls = [[*curl, "--retry", "5", "--retry-connrefused", "http://web:80/"], [*curl, "http://web:8080/"]]
        said = [laptop.run(words, capture_output=True, text=True) for words in curls]
        server.terminate()
        web.wait(server)
        if not firewall:
            assert [one.stdout for one in said] == ["hello\n", "hello\n"]
            return
        assert [one.stdout for one in said] == ["hello\n", ""] and said[1].returncode == 28
        rules = [one["rule"]["expr"] for one in home.ruleset() if "rule" in one]
        passed, refused = (one["counter"]["packets"] for expr in rules[1:] for one in expr if "counter" in one)
        # The first curl may have tried several times, and the SYN of the second is retransmitted after a second.
        assert 1 <= passed <= 6 and refused >= 2
        assert home.stack.counters.drops["nft-drop"] == refused


@WITH_PROGRAMS
def test_up_and_exec(tmp_path):
    folder, env = shop(tmp_path / "shop"), environment(tmp_path / "home")
    (up,), execs = blocks("sh")[1].splitlines(), blocks("sh")[2].splitlines()
    assert len(execs) == 3
    words = pystack(*shlex.split(up.replace("--for 20s", "--for 60s"))[1:])
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder, env=env
    ) as process:
        assert process.stdout.readline().startswith("the network shop is up")
        said = []
        for line in execs:
            words = pystack(*shlex.split(line)[1:])
            if "curl" in words:
                words[-1:] = ["--retry", "9", "--retry-connrefused", words[-1]]
            done = subprocess.run(words, capture_output=True, text=True, timeout=60, cwd=folder, env=env)
            assert (done.returncode, done.stderr) == (0, "")
            said.append(done.stdout)
        process.terminate()
        out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + 15, err
    assert said[0] == "hello\n"
    assert re.search(r"^LISTEN .*:http ", said[1], re.M)
    assert said[2] == "192.0.2.2\n"
    assert list((tmp_path / "home").iterdir()) == [tmp_path / "home" / "pystack"]
    assert list((tmp_path / "home" / "pystack").iterdir()) == []


@WITH_PROGRAMS
def test_an_ordinary_user(tmp_path):
    words = as_nobody()
    if words is None:
        pytest.skip("an ordinary user can reach no Python, or not /dev/net/tun")
    folder = shop(tmp_path / "shop")
    for path in (tmp_path, folder):
        path.chmod(0o777)
    packages = [path for path in sys.path if "site-packages" in path]
    code = (
        f"import sys; sys.path[1:1] = [{str(ROOT)!r}]; sys.path += {packages!r}\n"
        "from pystack.cli.main import cli\n"
        "cli(['net', 'run', 'shop.py', '--record', 'shop.pytrace'])\n"
    )
    # pytest's folders above are the test user's alone, so the files are moved to one that is not.
    import tempfile

    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o777)
        moved = Path(shutil.copytree(folder, Path(place) / "shop"))
        moved.chmod(0o777)
        env = {"PATH": os.environ["PATH"], "PYSTACK_PURE": "1", "HOME": str(moved), "LC_ALL": "C.UTF-8"}
        done = subprocess.run([*words, "-c", code], capture_output=True, text=True, timeout=180, cwd=moved, env=env)
        assert done.returncode == 0, done.stderr
        assert "hello\nblocked\n" in done.stdout
        assert "laptop: 0\ndesktop: 0\n" in done.stdout
        # the user of a user namespace is the test's user outside of it
        assert (moved / "access.log").stat().st_uid != 0 or words[0] == "unshare"
        recording = tmp_path / "shop.pytrace"
        shutil.copy(moved / "shop.pytrace", recording)
    again = subprocess.run(
        pystack("step", recording, "--verify"),
        capture_output=True,
        text=True,
        timeout=180,
        env=environment(tmp_path / "home"),
    )
    assert again.returncode == 0, again.stdout + again.stderr


@pytest.mark.skipif(shutil.which("iperf3") is None, reason="needs iperf3")
def test_the_measurements(capsys):
    from tools.bench import kernel_hosts

    kernel_hosts.main(["--seconds", "1", "--pings", "3"])
    said = capsys.readouterr().out
    for row in (*kernel_hosts.CASES, "5 ms"):
        assert re.search(rf"^\| {row} \| [0-9.,]+ .*ms \|$", said, re.M), said
        assert f"| {row} | " in PAGE
