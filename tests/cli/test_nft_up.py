"""`pystack up --nft` and `pystack nft` on a stack with a real device: what the rules refuse, the kernel's ping and curl do not get."""

from tests.cli.test_up import Lab, lab, pytestmark

__all__ = ["lab", "pytestmark"]
UP = ("-a", "10.0.0.2/24", "--kernel-address", "10.0.0.1/24", "--serve", "http:80", "--serve", "http:81")
RULES = """table inet filter {
	chain input {
		type filter hook input priority filter; policy drop;
		ct state established,related accept
		tcp dport 80 counter accept
		tcp dport 81 reject with tcp reset
	}
}
"""


def fetch(lab: Lab, port: int, seconds: str = "30") -> int:
    """curl's exit status: 0 for an answer, 7 if the connection was refused, 28 if there was no answer."""
    return lab.run("curl", "-s", "-m", seconds, f"http://10.0.0.2:{port}/").returncode


def test_rules_from_the_start_and_changes(lab: Lab, tmp_path):
    path = tmp_path / "rules.nft"
    path.write_text(RULES)
    with lab.up(*UP, "--nft", str(path)):
        assert fetch(lab, 81) == 7 and fetch(lab, 80) == 0
        assert lab.run("ping", "-c", "1", "-W", "1", "10.0.0.2").returncode == 1
        shown = lab.pystack("nft", "-a", "list", "ruleset").stdout
        assert "tcp dport 80 counter packets 0 " not in shown and "tcp dport 80 counter packets " in shown
        [line] = [line for line in shown.splitlines() if "tcp dport 81" in line]
        lab.pystack("nft", "delete", "rule", "inet", "filter", "input", "handle", line.rpartition(" ")[2])
        assert fetch(lab, 81, "2") == 28
        lab.pystack("nft", "add rule inet filter input icmp type echo-request accept")
        assert lab.run("ping", "-c", "1", "-W", "20", "10.0.0.2").returncode == 0


def test_a_wrong_file_starts_nothing(lab: Lab, tmp_path):
    path = tmp_path / "rules.nft"
    path.write_text(RULES.replace("tcp dport 80", "tcp dprot 80"))
    told = lab.pystack("up", *UP, "--nft", str(path))
    assert told.returncode == 1
    assert f"{path}:5:" in told.stderr and "perhaps 'dport' is meant" in told.stderr and "Traceback" not in told.stderr
    assert (
        told.stderr.startswith(str(path)) and "\n" + "\t" in told.stderr
    )  # the line and the mark, as `nft` prints them
    told = lab.pystack("up", *UP, "--nft", str(tmp_path / "none.nft"))
    assert (told.returncode, told.stderr.count("Error:")) == (1, 1)
