"""docs/howto/course.md: its commands do what the page says."""

import re
import shlex
import socket
import tomllib

from tests.stepper.web.served import ROOT, commanding
from tests.support.ports import free_port

PAGE = (ROOT / "docs" / "howto" / "course.md").read_text()
(BLOCK,) = re.findall(r"^```sh\n(.*?)^```", PAGE, re.M | re.S)


def test_the_extras_exist_and_have_what_the_server_imports():
    (extras,) = re.findall(r"pystack\[([\w,]+)\]", BLOCK)
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    packages = " ".join(" ".join(known[extra]) for extra in extras.split(","))
    for name in ("click", "starlette", "uvicorn", "markdown-it-py", "construct", "matplotlib"):
        assert name in packages


def test_the_commands_serve(tmp_path):
    lines = [shlex.split(line)[1:] for line in BLOCK.splitlines() if line.startswith("pystack ")]
    assert lines == [["course"], ["course", "17", "--port", "8017", "--no-browser"]]
    port = str(free_port())
    for line in lines:
        argv = [port if word == "8017" else word for word in line if word != "--no-browser"]
        with commanding(*argv, XDG_STATE_HOME=str(tmp_path)) as served:
            assert served.address.endswith("/#lab=17") == ("17" in argv)
            assert ("--port" not in argv) or served.port == int(port)
            assert served.ask("GET", f"/{served.address.split('/')[3]}/api/index")[0] == 200
            saved = served.ask("POST", f"/{served.address.split('/')[3]}/api/save/17", {"text": "x"})[1].decode()
            assert str(tmp_path / "pystack" / "exercises" / "lab_17_nagle.py") in saved


def test_a_wrong_lab_and_a_port_that_is_taken(tmp_path):
    from click.testing import CliRunner

    from pystack.cli.main import cli

    done = CliRunner().invoke(cli, ["course", "999", "--no-browser"])
    assert done.exit_code == 1 and "there is no lab '999'" in done.output
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = CliRunner().invoke(cli, ["course", "--port", str(taken.getsockname()[1]), "--no-browser"])
        assert done.exit_code == 1 and isinstance(done.exception, OSError)
