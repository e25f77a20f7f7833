"""FreeBSD's ways, each by a script of its own: passed with `--profile freebsd`, failed as Linux (the control)."""

import os

import pytest

from pystack.pkt import ScriptSettings, run_path
from pystack.pkt.parser import parse
from pystack.pkt.report import FAILED, PASSED, find_scripts, run_script

FOLDER = os.path.join(os.path.dirname(__file__), "freebsd")
SCRIPTS = find_scripts(FOLDER)
#: pass with any profile
SET_WHAT_THEY_NEED = (
    "syn-again.pkt",
    "syn-with-fin.pkt",
    "no-options.pkt",
    "keepinit.pkt",
    "sockstat-awk.pkt",
    "last-piece.pkt",
)


@pytest.mark.parametrize("path", SCRIPTS, ids=[os.path.basename(p) for p in SCRIPTS])
def test_script(path):
    verdict = run_path(path, ScriptSettings.for_profile("freebsd"))
    assert verdict.verdict == PASSED, (verdict.line, verdict.reason)
    if not path.endswith(SET_WHAT_THEY_NEED):
        assert run_path(path, ScriptSettings()).verdict == FAILED


@pytest.mark.parametrize(
    ("name", "old", "new", "word"),
    [
        ("syn-again.pkt", "slop=700", "slop=0", "time"),
        ("syn-again.pkt", "retries=1", "retries=0", "flags"),
        ("keepinit.pkt", "TCP_KEEPINIT, [5]", "TCP_KEEPINIT, [9]", "blocks"),
        ("icmp-may-not-reset.pkt", "icmp_may_rst=0", "icmp_may_rst=1", "SO_ERROR"),
        ("icmp-may-not-reset.pkt", "+.9 > S", "+.1 > S", "time"),
        ("tcp-in-udp-client.pkt", "/udp(9899 > 7)\n+0 setsockopt", "/udp(9899 > 8)\n+0 setsockopt", "encapsulation"),
        ("tcp-in-udp-client.pkt", "1:1(0) ack 1 win 65535/udp(9899 > 7)", "1:1(0) ack 1 win 65535", "encapsulation"),
        ("tcp-in-udp-client.pkt", "frag_needed mtu 1300", "frag_needed mtu 1299", "flags"),
        ("tcp-in-udp-server.pkt", "tunneling_port=9899", "tunneling_port=9898", "no packet"),
        ("tcp-in-udp-server.pkt", "ENCAPS_PORT, [7], [4]", "ENCAPS_PORT, [8], [4]", "ENCAPS_PORT"),
        ("always-keepalive.pkt", " 0 socket", " 0 `sysctl -w net.inet.tcp.always_keepalive=0`\n+0 socket", "no packet"),
        ("slop-on-every-timeout.pkt", "+.5 > P", "+.3 > P", "time"),
        ("syn-in-time-wait.pkt", " 0 socket", " 0 `sysctl -w net.inet.tcp.drop_synfin=1`\n+0 socket", "no packet"),
        ("sockstat-awk.pkt", "{print $8}", "{print $7}", "command"),
        ("no-options.pkt", "TCP_NOOPT, [1]", "TCP_NOOPT, [0]", "options"),
    ],
)
def test_what_they_set_counts(name, old, new, word):
    path = os.path.join(FOLDER, name)
    with open(path, encoding="utf-8") as file:
        text = file.read()
    assert old in text
    verdict = run_script(parse(text.replace(old, new), path), ScriptSettings.for_profile("freebsd"))
    assert verdict.verdict == FAILED and word in verdict.reason


def test_there_are_scripts():
    assert len(SCRIPTS) >= 7
