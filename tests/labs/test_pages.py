"""`pystack lab`: the plots, the stepper at the key moment, and the combinations that are refused."""

import xml.etree.ElementTree as ET

import pytest
from click.testing import CliRunner

from pystack.cli.main import cli


@pytest.fixture(autouse=True)
def own_state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)


def lab(*args):
    return CliRunner().invoke(cli, ["lab", *args], prog_name="pystack")


def words(path):
    return " ".join(" ".join(ET.parse(path).getroot().itertext()).split())


def test_the_stepper_opens_after_the_run_at_the_key_moment(monkeypatch):
    served = []
    monkeypatch.setattr("pystack.stepper.web.server.serve", lambda timeline, **how: served.append((timeline, how)))
    done = lab("run", "17", "--no-predict", "--web", "--no-browser", "--port", "7")
    assert done.exit_code == 0, done.output
    ((timeline, how),) = served
    entry = how["cursor"].entry
    assert (entry.kind, entry.time, how["port"], how["browser"]) == ("tcp.hold", 15_000_000, 7, False)
    assert how["cursor"].timeline is timeline
    assert done.output.index("Every measured value") < done.output.index("Two writes: the second one waits")
    assert lab("run", "17", "--no-predict", "--web", "--look", "2").exit_code == 0
    assert served[1][0].name == "The same with TCP_NODELAY" and served[1][1]["browser"]


def test_a_plot_is_written_before_the_run():
    done = lab("run", "17", "--json", "--plot", "nagle.svg")
    assert done.exit_code == 0, done.output
    assert "Two writes: the second one waits for an acknowledgement" in words("nagle.svg") and "40 ms later" in words(
        "nagle.svg"
    )


def test_plots_for_slides(tmp_path):
    assert lab("plot", "17", "-o", "slides").exit_code == 0
    assert sorted(path.name for path in (tmp_path / "slides").iterdir()) == ["lab_17_nagle.svg", "lab_17_nagle_2.svg"]
    assert "TCP_NODELAY" in words("slides/lab_17_nagle_2.svg")
    assert lab("plot", "17", "--look", "2", "-o", "one.png").output == "wrote one.png\n"
    assert (tmp_path / "one.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "slides" / "lab_17_nagle.svg").read_bytes() == again(tmp_path)


def again(tmp_path):
    """The same plot, drawn once more."""
    assert lab("plot", "17", "-o", "again.svg").exit_code == 0
    return (tmp_path / "again.svg").read_bytes()


@pytest.mark.parametrize(
    ("args", "status", "says"),
    [
        (["run", "37", "--plot", "x.svg"], 1, "lab 37 has no run to look at: its client is the kernel of this machine"),
        (["run", "37", "--web"], 1, "lab 37 has no run to look at"),
        (["plot", "37"], 1, "lab 37 has no run to look at"),
        (["run", "17", "--plot", "x.txt"], 2, "must end in .svg, .png or .pdf"),
        (["run", "17", "--web", "--json"], 2, "leave out one"),
        (["run", "17", "--look", "2"], 2, "--look needs --plot, --web or --write"),
        (["run", "17", "--look", "3", "--web"], 1, "lab 17 has no run 3; there are 1: Two writes"),
        (["run", "37", "--write", "x.pcapng"], 1, "lab 37 writes no capture: its client is the kernel of this machine"),
        (["plot", "all", "-o", "x.svg"], 2, "all plots need a folder"),
        (["plot", "17", "-o", "x.jpg"], 2, "x.jpg: the file's name must end in .svg, .png or .pdf"),
        (["plot", "17", "--look", "0"], 2, "0 is not in the range"),
    ],
)
def test_what_cannot_be_is_refused(args, status, says, tmp_path):
    done = lab(*args)
    assert done.exit_code == status and says in done.output
    assert not list(tmp_path.glob("x.*"))


def test_a_missing_program_or_package_is_named(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert "needs openssl, which the Debian package openssl has" in lab("run", "15", "--plot", "x.svg").output
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    found = lab("plot", "17")
    assert found.exit_code == 1 and "pip install 'pystack[plot]'" in found.output
