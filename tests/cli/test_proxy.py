"""`pystack proxy`: on the kernel's sockets, and on a stack of its own behind a TAP."""

import re
import shutil
import signal
import subprocess
import sys

import pytest

pytest.importorskip("h11", reason="needs the extra `proxy`")

from tests.cli.test_up import PYSTACK, ROOT, lab, possible  # noqa: F401 (a fixture)
from tests.proxies.conftest import certificates, origin, thread  # noqa: F401 (fixtures)
from tests.support.patience import PATIENCE

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")


class Running:
    """A proxy as a process, ended by SIGINT."""

    def __init__(self, *argv, command=(), env=None):
        self.process = subprocess.Popen(
            [*command, *PYSTACK, "proxy", *argv], stderr=subprocess.PIPE, text=True, cwd=ROOT, env=env
        )
        line = ""
        while "listening on" not in line:
            line = self.process.stderr.readline()
            assert line, "the proxy ended"
        self.port = int(re.search(r":(\d+);", line)[1])

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        try:
            self.process.send_signal(signal.SIGINT)
            assert self.process.wait(PATIENCE) == 0
            assert "Traceback" not in self.process.stderr.read()
        finally:
            self.process.kill()
            self.process.wait()
            self.process.stderr.close()


def curl(*args):
    return subprocess.run(["curl", "-sS", "--max-time", "30", *map(str, args)], capture_output=True, text=True).stdout


@needs_curl
@pytest.mark.parametrize("kind", ["http", "https", "tcp", "connect", "socks5"])
def test_on_the_kernel(kind, origin, certificates):  # noqa: F811
    server, port = origin
    leaf, ca = certificates
    here = f"127.0.0.1:{port}"
    options = {
        "https": ["--cert", leaf, "--upstream", here, "--balance", "maglev"],
        "connect": ["--user", "me:secret"],
        "socks5": ["--user", "me:secret"],
    }.get(kind, ["--upstream", here, "--check", "tcp", "--limit", "buffer_size=4096"])
    with Running("--on-kernel", "--listen", f"{kind}://127.0.0.1:0", *map(str, options)) as proxy:
        at = f"127.0.0.1:{proxy.port}"
        ask = {
            "https": ["--cacert", ca, f"https://{at}/ok"],
            "connect": ["--proxytunnel", "--proxy", f"http://me:secret@{at}", f"http://{here}/ok"],
            "socks5": ["--proxy", f"socks5h://me:secret@{at}", f"http://{here}/ok"],
        }.get(kind, [f"http://{at}/ok"])
        assert curl(*ask) == "ok"
    assert len(server.heads) == 1


@needs_curl
@pytest.mark.kernel
@pytest.mark.skipif(not possible(), reason="needs root and /dev/net/tun")
def test_on_a_stack(lab, tmp_path):  # noqa: F811
    (tmp_path / "page").write_text("through the stack")
    where = ["--directory", str(tmp_path), "--bind", "10.0.0.1", "8000"]
    stack = ["-a", "10.0.0.2/24", "--kernel-address", "10.0.0.1/24"]
    ask = ["--listen", "http://0.0.0.0:80", "--upstream", "10.0.0.1:8000"]
    with Running(*stack, *ask, command=lab.command(), env=lab.env) as proxy:
        server = subprocess.Popen(lab.command(sys.executable, "-m", "http.server", *where), stdout=-3, stderr=-3)
        try:
            done = lab.run(
                "curl", "-sS", "--retry", "20", "--retry-delay", "1", "--retry-all-errors", "-f", "http://10.0.0.2/page"
            )
            assert proxy.port == 80 and done.stdout == "through the stack", done.stderr
        finally:
            server.kill()
            server.wait()


def test_without_h11_the_error_names_the_extra():
    code = "import sys; sys.modules['h11'] = None; from pystack.cli.main import main; main(sys.argv[1:])"
    words = ["proxy", "--on-kernel", "--listen", "tcp://127.0.0.1:0", "--upstream", "127.0.0.1:1"]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert (done.returncode, done.stderr) == (1, "Error: proxies need h11 and h2: pip install 'pystack[proxy]'\n")


@pytest.mark.parametrize(
    "argv, message",
    [
        (["--listen", "ftp://127.0.0.1:1"], "is not KIND://ADDRESS:PORT"),
        (["--listen", "http://127.0.0.1:1"], "name at least one --upstream"),
        (["--listen", "https://127.0.0.1:1", "--upstream", "a:1"], "https needs --cert"),
        (["--listen", "http://127.0.0.1:1", "--upstream", "a"], "is not [https://]HOST:PORT"),
        (["--listen", "http://127.0.0.1:1", "--upstream", "a:1,speed=2"], "the only option of an upstream"),
        (["--listen", "socks5://127.0.0.1:1", "--upstream", "a:1"], "its clients name the servers"),
        (["--listen", "tcp://127.0.0.1:1", "--upstream", "a:1", "--limit", "size=1"], "is not NAME=NUMBER"),
        (
            ["--listen", "tcp://127.0.0.1:1", "--upstream", "a:1", "--limit", "buffer_size=0"],
            "must be a number of at least 1",
        ),
        (["--listen", "tcp://127.0.0.1:1", "--upstream", "a:1", "--user", "a:b"], "--user is for connect and socks5"),
        (["--listen", "socks5://127.0.0.1:1", "--user", "me"], "'me' needs a name and a password"),
        (["--listen", "http://127.0.0.1:1", "--upstream", "a:1", "--check", "ok"], "--check: the path 'ok' must begin"),
        (["--listen", "https://127.0.0.1:1", "--upstream", "a:1", "--cert", "/no.pem"], "/no.pem: No such file"),
        (["--listen", "https://127.0.0.1:1", "--upstream", "a:1", "--cert", __file__], "there is no certificate"),
        (["--listen", "tcp://127.0.0.1:1", "--upstream", "a:1", "--key", "x"], "--key needs --cert"),
    ],
)
def test_mistakes(argv, message):
    from click.testing import CliRunner

    from pystack.cli.main import cli

    result = CliRunner().invoke(cli, ["proxy", "--on-kernel", *argv])
    assert result.exit_code == 2
    assert message in " ".join(result.output.replace("│", " ").split())
