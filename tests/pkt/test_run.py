"""Verdicts, diagnosis, settings, commands, code, and the command line."""

import json

import pytest
from click.testing import CliRunner

from pystack.cli.main import cli
from pystack.pkt import ScriptSettings, report
from pystack.pkt.errors import Unsupported
from pystack.pkt.parser import parse
from pystack.pkt.report import FAILED, PASSED, UNSUPPORTED, diagnosis, run_path, run_script

OPEN = """
 0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 bind(3, ..., ...) = 0
+0 listen(3, 1) = 0
+0 < S 0:0(0) win 32792 <mss 1000,sackOK,nop,nop>
+0 > S. 0:0(0) ack 1 <...>
+.1 < . 1:1(0) ack 1 win 32792
+0 accept(3, ..., ...) = 4
"""


def run(text, settings=None):
    return run_script(parse(text), settings or ScriptSettings())


def test_diagnosis_says_what_a_person_needs(tmp_path):
    path = tmp_path / "x.pkt"
    path.write_text(OPEN + "+0 write(4, ..., 10) = 10\n+0 > P. 1:12(11) ack 1 win 5\n")
    verdict = run_path(str(path), ScriptSettings())
    text = diagnosis(verdict)
    assert verdict.line == 10
    for part in (
        "x.pkt:10: failed",
        "expected  > P. 1:12(11) ack 1 win 5",
        "actual    0.100000 > P. 1:11(10)",
        "state=ESTABLISHED",
        "snd_una=",
        "tcp.out: the data fits in window and cwnd [RFC 9293 3.8]",
    ):
        assert part in text, text


def test_a_packet_that_never_comes():
    verdict = run(OPEN + "+0 > P. 1:2(1) ack 1\n")
    assert (verdict.verdict, verdict.reason) == (FAILED, "no packet was sent")


def test_a_call_that_blocks_for_ever():
    verdict = run(OPEN + "+0 read(4, ..., 10) = 10\n")
    assert verdict.verdict == FAILED and "blocks" in verdict.reason
    verdict = run(OPEN + "+0...1 read(4, ..., 10) = 10\n")
    assert verdict.verdict == FAILED and "still blocks" in verdict.reason


def test_payload_is_compared_both_ways():
    # The stack repeats what was written at these places of the stream, and delivers what was sent.
    verdict = run(OPEN + "+0 write(4, ..., 2000) = 2000\n+0 > . 1:1001(1000) ack 1\n+0 > P. 1001:2001(1000) ack 1\n")
    assert verdict.verdict == PASSED
    from pystack.pkt.wire import pattern

    assert pattern(0, 300) == bytes(range(251)) + bytes(range(49))
    assert pattern(-1 % 251, 2) == bytes([250, 0])


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("+0 `ls`", "the command 'ls'"),
        ("+0 `sysctl -w net.inet.tcp.no_such_thing=1`", "no_such_thing"),
        ("+0 `sysctl -q net.ipv4.no_such_thing=1`", "no_such_thing"),
        ("+0 cap_set(1) = 0", "cap_set"),
        ("+0 setsockopt(4, SOL_TCP, TCP_REPAIR, [1], 4) = 0", "SOL_TCP TCP_REPAIR"),
        ("+0 setsockopt(4, SOL_TCP, TCP_WHATEVER, [1], 4) = 0", "TCP_WHATEVER"),
        ("+0 %{ import os }%", "Import"),
        ("+0 %{ print(().__class__) }%", "Attribute"),
        ("+0 %{ (1).real() }%", "plain functions"),
        ("+0 %{ while True: pass }%", "While"),
        ("+0 %{ assert 9 ** 999999999 }%", "more than 4096 bits"),
        ("+0 %{ assert tcpi_no_such_field == 1 }%", "tcpi_no_such_field"),
        ("+0 recv(4, ..., 1, MSG_ERRQUEUE) = 0", "MSG_ERRQUEUE"),
        ("+0 %{ open('x') }%", "open"),
        ("+0 getsockopt(4, SOL_TCP, TCP_CC_INFO, ..., [64]) = 0", "TCP_CC_INFO"),
        ("+0 `sockstat | awk '{print NR}'`", "awk"),
    ],
)
def test_unsupported_is_neither_passed_nor_failed(line, what):
    verdict = run(OPEN + line + "\n")
    assert verdict.verdict == UNSUPPORTED, verdict
    assert what in verdict.reason
    assert verdict.line == 9


def test_commands():
    text = OPEN + "+0 `sockstat -4 -P tcp -p 8080 -s | grep -c ESTABLISHED | grep 1`\n"
    assert run(text).verdict == PASSED
    assert run(text.replace("grep 1", "grep 2")).verdict == FAILED
    assert run(OPEN + "+0 `nstat | grep TcpPassiveOpens > /dev/null`\n").verdict == PASSED
    assert run(OPEN + "+0 `false_thing || true`\n").verdict == UNSUPPORTED
    assert run(OPEN + '+0 `grep " 0A " /proc/net/tcp | grep ":1F90"`\n').verdict == PASSED
    assert run(OPEN + "+0 `tcpdrop -s ESTABLISHED`\n+0 `sockstat -s | grep ESTABLISHED`\n").verdict == FAILED


def test_sysctls_are_set_noted_or_refused():
    script = "`sysctl -q net.ipv4.tcp_timestamps=0 net.ipv4.tcp_fack=1`\n" + OPEN
    verdict = run(script)
    assert verdict.verdict == PASSED
    assert verdict.notes == ["sysctl tcp_fack: Linux has no FACK any more"]
    rfc1323 = "`sysctl -w net.inet.tcp.rfc1323=0`\n" + OPEN.replace("<...>", "<mss 1460,nop,nop,sackOK>")
    assert run(rfc1323).verdict == PASSED
    assert run(rfc1323.replace("sackOK,nop,nop>", "sackOK,TS val 1 ecr 0>", 1)).verdict == PASSED
    assert (
        run(rfc1323.replace("rfc1323=0", "rfc1323=1").replace("sackOK,nop,nop>", "sackOK,TS val 1 ecr 0>", 1)).verdict
        == FAILED
    )


def test_included_scripts(tmp_path):
    (tmp_path / "defaults.sh").write_text("#!/bin/sh\n# comment\nsysctl -q net.ipv4.tcp_sack=0  # off\n")
    path = tmp_path / "x.pkt"
    path.write_text("`./defaults.sh`\n" + OPEN.replace("<...>", "<mss 1460>"))
    assert run_path(str(path), ScriptSettings()).verdict == PASSED
    path.write_text("`./missing.sh`\n" + OPEN)
    assert run_path(str(path), ScriptSettings()).verdict == UNSUPPORTED
    path.write_text("--init_scripts=./defaults.sh\n" + OPEN.replace("<...>", "<mss 1460>"))
    assert run_path(str(path), ScriptSettings()).verdict == PASSED


def test_commands_with_conditions(tmp_path, monkeypatch):
    (tmp_path / "common.sh").write_text(
        '#!/bin/sh\nSYSTEM=$(uname)\n\nif [ "$SYSTEM" = "Linux" ] ; then\n  echo "Linux"\n  . ./no-sack.sh\n'
        'elif [ "$SYSTEM" = "FreeBSD" ] ; then\n  nothing_that_exists\nelse\n  nothing_that_exists\nfi\n'
    )
    (tmp_path / "no-sack.sh").write_text('if test 1 -gt 2; then true; else sysctl -q "net.ipv4.tcp_sack=0"; fi\n')
    path = tmp_path / "x.pkt"
    path.write_text("`./common.sh`\n" + OPEN.replace("<...>", "<mss 1460>"))
    assert run_path(str(path), ScriptSettings()).verdict == PASSED
    verdict = run_path(str(path), ScriptSettings.for_profile("freebsd"))
    assert verdict.verdict == UNSUPPORTED and "nothing_that_exists" in verdict.reason
    # A path may count from where we are, too, as the commands of packetdrill do.
    (tmp_path / "deep").mkdir()
    inside = tmp_path / "deep" / "y.pkt"
    inside.write_text(path.read_text())
    assert run_path(str(inside), ScriptSettings()).verdict == UNSUPPORTED
    monkeypatch.chdir(tmp_path)
    assert run_path(str(inside), ScriptSettings()).verdict == PASSED


@pytest.mark.parametrize(
    "command", ["if true; then true", "fi", "else true", "if [ a -zz b ]; then true; fi", "uname -a"]
)
def test_conditions_that_are_none(command):
    assert run(OPEN + f"+0 `{command}`\n").verdict == UNSUPPORTED


@pytest.mark.parametrize(
    ("command", "verdict"),
    [
        ("if [ -n x ] && true; then true; fi; [ 2 -ge 2 ]", PASSED),
        ("A=b; [ $A = b ]", PASSED),
        ("A='b'; [ ${A} != b ]", FAILED),
        ("if false_or_not; then true; fi", UNSUPPORTED),
        ("if [ 1 = 2 ]; then what; elif [ 1 = 1 ]; then [ -z '' ]; else what; fi", PASSED),
        ("if [ 1 = 2 ]; then if [ 1 = 1 ]; then what; else what; fi; what; fi; true", PASSED),
    ],
)
def test_conditions(command, verdict):
    assert run(OPEN + f"+0 `{command}`\n").verdict == verdict


def test_options_in_any_order():
    text = OPEN.replace("<...>", "<nop,sackOK,mss 1460,eol>")
    assert run(text).verdict == FAILED
    assert run(text, ScriptSettings(options="any-order")).verdict == PASSED
    wrong = OPEN.replace("<...>", "<nop,sackOK,mss 1461,eol>")
    assert run(wrong, ScriptSettings(options="any-order")).verdict == FAILED


def test_non_fatal():
    text = "--non_fatal=packet,syscall\n" + OPEN + "+0 listen(4, 1) = 0\n"
    verdict = run(text)
    assert verdict.verdict == PASSED
    assert "not fatal" in verdict.notes[0]


def test_code_keeps_names_and_sees_the_moment():
    text = (
        OPEN
        + "+0 %{ before = tcpi_segs_in }%\n+0 < P. 1:2(1) ack 1 win 9\n+0 %{\nassert tcpi_segs_in == before + 1\n}%\n"
    )
    assert run(text).verdict == PASSED
    verdict = run(text.replace("before + 1", "before"))
    assert verdict.verdict == FAILED
    assert verdict.line == 12
    assert "before = " in verdict.failure.actual


def test_the_profile_names_its_system(tmp_path):
    # As packetdrill defines the name of the system that it runs on.
    path = tmp_path / "x.pkt"
    path.write_text("#ifdef FreeBSD\n" + OPEN + "+0 > . 1:1(0) ack 77\n#endif\n")
    freebsd = ScriptSettings.for_profile("freebsd")
    assert run_path(str(path), ScriptSettings()).verdict == PASSED
    assert run_path(str(path), freebsd).verdict == FAILED
    # What a script says of all systems stands in the place of what it says of one.
    freebsd.defines["STANDARD"] = "1"
    assert run_path(str(path), freebsd).verdict == PASSED


def test_an_absolute_sequence_number_is_not_mapped():
    text = " 0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 bind(3, ..., ...) = 0\n+0 < S 0:0(0) win 9\n"
    assert run(text + "+0 > R. 0:0(0)! ack 1\n").verdict == PASSED
    assert run(text + "+0 > R. 1:1(0)! ack 1\n").verdict == FAILED


def test_strict_segments():
    text = OPEN + "+0 write(4, ..., 2000) = 2000\n+0 > P. 1:2001(2000) ack 1\n"
    assert run(text).verdict == PASSED
    assert run("--strict_segments\n" + text).verdict == FAILED


def test_profiles_and_settings():
    text = OPEN.replace("<...>", "<mss 1460,nop,wscale 6,sackOK,eol>").replace("nop,nop>", "nop,nop,nop,wscale 1>", 1)
    text = text.replace("sackOK,nop,nop,nop,wscale 1", "sackOK,nop,wscale 1,nop,nop")
    settings = ScriptSettings.for_profile("freebsd")
    assert settings.make_config().tcp_wscale == 6
    assert settings.options == "any-order"
    with pytest.raises(ValueError, match="no profile"):
        ScriptSettings.for_profile("plan9")
    assert run("--no_such_option=1\n" + OPEN).verdict == UNSUPPORTED
    with pytest.raises(Unsupported, match="PSP"):
        # (Before what follows it is read: names that only such scripts define are no errors.)
        run("--psp_udp_port=1000\n" + OPEN.replace("1000", "MSS"))
    assert "script error" in run("--mtu=abc\n" + OPEN).reason


def test_command_line(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "good.pkt").write_text(OPEN)
    (tmp_path / "bad.pkt").write_text(OPEN + "+0 > . 1:1(0) ack 77\n")
    (tmp_path / "other.pkt").write_text("--ip_version=ipv6\n" + OPEN)
    (tmp_path / "broken.pkt").write_text("0 > rubbish\n")
    out = tmp_path / "out.json"
    result = CliRunner().invoke(cli, ["pkt", str(tmp_path), "--json", str(out)], standalone_mode=False)
    assert result.return_value == 1, result.output
    found = json.loads(out.read_text())
    assert (found["passed"], found["failed"], found["unsupported"]) == (1, 2, 1)
    verdicts = {s["path"].rpartition("/")[2]: (s["verdict"], s["reason"]) for s in found["scripts"]}
    assert verdicts["good.pkt"] == (PASSED, "")
    assert verdicts["other.pkt"] == (UNSUPPORTED, "ipv6 is not supported")
    assert verdicts["broken.pkt"][1].startswith("script error")
    assert "total" in result.output

    def status(name, *args):
        return CliRunner().invoke(cli, ["pkt", str(tmp_path / name), *args], standalone_mode=False).return_value

    assert status("a/good.pkt") == 0
    assert status("bad.pkt") == 1
    assert status("other.pkt") == 2
    assert status("broken.pkt") == 2
    assert status("a/good.pkt", "-D", "X=1", "--set", "tcp_init_cwnd=2", "--profile", "freebsd", "-v") == 0
    assert CliRunner().invoke(cli, ["pkt", str(tmp_path), "--profile", "x"]).exit_code == 2


def test_a_verdict_for_anything(tmp_path):
    path = tmp_path / "x.pkt"
    for text in (
        "",
        "0",
        "`",
        "%{",
        "0 > ",
        "\0\0",
        "0 f(",
        "0 > . 1:1(0)",
        "0 `",
        "--",
        "0 %{ ) }%",
        "0 socket() = 3",
    ):
        path.write_text(text)
        verdict = run_path(str(path), ScriptSettings())
        assert verdict.verdict in (PASSED, FAILED, UNSUPPORTED)
        assert report.diagnosis(verdict)


def test_a_pattern_that_could_take_for_ever_is_refused():
    """grep -E with a pattern of the script's; control: an ordinary one finds what is there."""
    text = OPEN + "+0 `nstat | grep -E 'TcpPassive(Opens|X)' > /dev/null`\n"
    assert run(text).verdict == PASSED
    found = run(text.replace("TcpPassive(Opens|X)", "(T+c*p*)+$"))
    assert found.verdict == UNSUPPORTED
    assert "is repeated" in found.reason
