"""Our own scripts pass; with one number changed they fail at the line that was changed (the control)."""

import os

import pytest

from pystack.pkt import ScriptSettings, run_path
from pystack.pkt.parser import parse
from pystack.pkt.report import FAILED, PASSED, find_scripts, run_script

FOLDER = os.path.join(os.path.dirname(__file__), "scripts")
SCRIPTS = find_scripts(FOLDER)

#: what a script needs beside the profile
NEEDS = {"simultaneous-open-text.pkt": {"tcp_crossed_text": 3}}

#: script, what to write instead of what, and a word of the reason
CONTROLS = [
    ("handshake.pkt", "> S. 0:0(0) ack 1", "> S. 0:0(0) ack 2", "ack"),
    ("handshake.pkt", "> P. 1:1001(1000)", "> . 1:1001(1000)", "flags"),
    ("handshake.pkt", "tcpi_snd_cwnd == 10", "tcpi_snd_cwnd == 11", "assertion"),
    ("handshake.pkt", "write(4, ..., 1000) = 1000", "write(4, ..., 1000) = 999", "result"),
    ("passive-close.pkt", "nop,wscale 7>\n+.1", "nop,wscale 4>\n+.1", "wscale"),
    ("passive-close.pkt", "grep 0`", "grep 1`", "command"),
    ("refused.pkt", "ECONNREFUSED (Connection refused)", "ETIMEDOUT (x)", "result"),
    ("refused.pkt", "0...0.05", "0...0.5", "time of return"),
    ("syn-timeout.pkt", "+2 > S", "+3 > S", "time"),
    ("retransmit-timeout.pkt", "tcpi_snd_cwnd == 1,", "tcpi_snd_cwnd == 2,", "assertion"),
    ("fast-retransmit.pkt", "> . 1:1001(1000) ack 1\n", "> . 1001:2001(1000) ack 1\n", "seq"),
    ("sack-receiver.pkt", "sack 151:201 101:251", "sack 101:251 151:201", "sack"),
    ("zero-window.pkt", "+.2 < . 1:1(0) ack 1 win 5000", "+.2 < . 1:1(0) ack 1 win 0", "flags"),
    ("receive-window.pkt", "ack 4001 win 0", "ack 4001 win 1", "win"),
    ("receive-window.pkt", "SIOCINQ, [4000]", "SIOCINQ, [3999]", "ioctl"),
    ("timestamps.pkt", "P. 1:501(500) ack 1 <nop,nop,TS val 200", "P. 1:501(500) ack 1 <nop,nop,TS val 300", "TS val"),
    ("timestamps.pkt", "TS val 1000 ecr 100", "TS val 1000 ecr 99", "TS ecr 99"),
    ("nagle.pkt", "TCP_NODELAY, [1]", "TCP_NODELAY, [0]", "seq"),
    ("linger-reset.pkt", "onoff=1", "onoff=0", "flags"),
    ("keepalive.pkt", "+2 > . 0:0(0)", "+1 > . 0:0(0)", "time"),
    ("poll.pkt", "revents=POLLIN}], 1, 0)", "revents=POLLOUT}], 1, 0)", "revents"),
    ("poll.pkt", "{events=EPOLLIN, fd=4}, 1, 0) = 1", "{events=EPOLLIN, fd=9}, 1, 0) = 1", "data"),
    ("messages.pkt", "= 60\n+0 > P. 151:211(60)", "= 60\n+0 > P. 151:212(61)", "61"),
    ("udp.pkt", "> udp (700)", "> udp (701)", "udp length"),
    ("merging.pkt", "[ttl 4] S.", "[ttl 5] S.", "ttl"),
    ("merging.pkt", "> . 2001:3001(1000)", "> . 2001:2501(500)", "length"),
    ("zerocopy.pkt", "ee_info=0, ee_data=1", "ee_info=0, ee_data=0", "ee_data"),
    ("zerocopy.pkt", "ee_code=SO_EE_CODE_ZEROCOPY_COPIED, ee_info=2", "ee_code=0, ee_info=2", "ee_code"),
    ("zerocopy.pkt", "SO_ZEROCOPY, [1], 4) = 0\n+0 send", "SO_ZEROCOPY, [0], 4) = 0\n+0 send", "SO_ZEROCOPY"),
    ("tx-timestamps.pkt", "scm_nsec=500000000", "scm_nsec=400000000", "timestamp"),
    ("tx-timestamps.pkt", "SCM_TSTAMP_SND, ee_data=399", "SCM_TSTAMP_SND, ee_data=449", "ee_data"),
    ("joined-by-the-device.pkt", "--mss=1000", "--mss=2000", "rcv_mss"),
    ("fin-puts-the-probe-off.pkt", "+.04 > F.", "+.01 > F.", "time"),
    ("ack-of-nothing.pkt", "+0 < F. 1:1(0) ack 4000", "+0 < F. 1:1(0) ack 1", "ack"),
    ("answer-carries-the-ack.pkt", "+.04 > . 2001", "+.02 > . 2001", "time"),
    ("record-ends.pkt", "send(4, ..., 300, MSG_EOR)", "send(4, ..., 300, 0)", "payload"),
    ("record-ends.pkt", "send(4, ..., 1200, MSG_EOR)", "send(4, ..., 1200, 0)", "seq"),
    ("send-buffer.pkt", "SO_SNDBUF, [20000]", "SO_SNDBUF, [10000]", "SO_SNDBUF"),
    ("send-buffer.pkt", "TCP_NOTSENT_LOWAT, [500]", "TCP_NOTSENT_LOWAT, [900]", "poll"),
    ("nodelay-flushes.pkt", "setsockopt(4, SOL_TCP, TCP_NODELAY", "setsockopt(4, SOL_TCP, TCP_CORK", "time"),
    ("nodelay-flushes.pkt", "> . 31:41(10)", "> P. 31:41(10)", "flags"),
    (
        "window-use.pkt",
        "write(4, ..., 7000) = 7000\n+0 > P. 1:7001(7000)",
        "write(4, ..., 9000) = 9000\n+0 > P. 1:9001(9000)",
        "14",
    ),
    ("data-after-close.pkt", "> R 1:1(0)", "> R 2:2(0)", "seq"),
    ("splice-urgent.pkt", "urg 10", "urg 5", "splice"),
    ("path-mtu.pkt", "[1:1461(1460)] icmp", "[9000:9001(1)] icmp", "flags"),
    ("syn-too-large-unquoted.pkt", "mtu 800", "mtu 800 [0:10(10)]", "mss 760"),
    ("simultaneous-open-text.pkt", "SF 0:3(3)", "SF 0:2(2)", "ack"),
    ("accecn-linux.pkt", "e1b 301 ceb 100 e0b 101,nop", "e1b 301 ceb 100 e0b 1,nop", "AccECN1"),
    (
        "accecn-linux.pkt",
        "[ect0] .6 2001:2001(0) ack 101 <ECN e1b 201",
        "[noecn] .6 2001:2001(0) ack 101 <ECN e1b 201",
        "ecn",
    ),
    ("crossed-syn-ack.pkt", "[ect0] P. 1:1001", "[ect0] PW. 1:1001", "flags"),
    ("recovery-by-timer.pkt", "tcpi_retrans == 1, tcpi_retrans", "tcpi_retrans == 2, tcpi_retrans", "assertion"),
    ("fastopen-crossed.pkt", "> S. 0:0(0) ack 901", "> S. 0:500(500) ack 901", "payload"),
    ("fastopen-crossed.pkt", "> P. 1:501(500)", "> . 1:1(0)", "flags"),
    ("crossed-syn-text.pkt", "SO_DEBUG, [1], [4]", "SO_DEBUG, [0], [4]", "SO_DEBUG"),
    ("code-variables.pkt", "count += 1 }%\n+0 %{ count", "count += 2 }%\n+0 %{ count", "assertion"),
    ("ack-of-a-fin.pkt", "+0 > . 1:1(0) ack 2", "+.04 > . 1:1(0) ack 2", "time"),
    ("small-calls.pkt", "fcntl(3, F_GETFD) = 1", "fcntl(3, F_GETFD) = 0", "result"),
    ("small-calls.pkt", "SIOCATMARK, [1]", "SIOCATMARK, [0]", "ioctl"),
    ("small-calls.pkt", "RCVBUF == 30000", "RCVBUF == 30001", "assertion"),
    ("small-calls.pkt", "-1 EPROTONOSUPPORT", "-1 EINVAL", "result"),
    ("udp-frag-needed.pkt", "ee_info=1300", "ee_info=1299", "ee_info"),
    ("syncookies-always.pkt", "tcp_syncookies=2", "tcp_syncookies=1", "flags"),
    ("ecn-spread.pkt", "tcpi_snd_cwnd == 9", "tcpi_snd_cwnd == 8", "assertion"),
    ("ecn-spread.pkt", "< E. 1:1(0) ack 1001", "< . 1:1(0) ack 1001", "flags"),
    ("ecn-fallback.pkt", "tcp_ecn_fallback=0", "tcp_ecn_fallback=1", "flags"),
]


#: script, and the setting that it shows: with the other value it fails
SETTINGS = [
    ("probe-before-timeout.pkt", {"tcp_tlp_at_rto": False}),
    ("recovery-is-safe.pkt", {"tcp_prr_safe": False}),
    ("ecn-spread.pkt", {"tcp_prr_ecn": False}),
    ("growth-by-delivery.pkt", {"tcp_grow_delivered": False}),
    ("send-buffer.pkt", {"tcp_linux_queue": False}),
    ("ack-of-nothing.pkt", {"tcp_ack_unsent": True}),
    ("icmp-ends-opening.pkt", {"tcp_icmp_opening": False}),
    ("syn-too-large.pkt", {"tcp_advmss_pmtu": False}),
    ("sack-of-a-part.pkt", {"tcp_sack_whole": False}),
    ("reduction.pkt", {"tcp_ssthresh_cwnd": False}),
    ("window-start.pkt", {"tcp_window_start": 0}),
    ("syn-timestamp.pkt", {"tcp_syn_ts_check": False}),
    ("half-open-icmp.pkt", {"tcp_icmp_opening": False}),
    ("accecn-linux.pkt", {"tcp_accecn_linux": False}),
    ("accecn-joined-acks.pkt", {"tcp_accecn_linux": False}),
    ("crossed-syn-ack.pkt", {"tcp_crossed_ack": False}),
    ("crossed-syn-text.pkt", {"tcp_crossed_text": 3}),
    ("probe-by-the-tick.pkt", {"tcp_timeout_slack": 0}),
    ("recovery-by-timer.pkt", {"tcp_prr": False}),
    ("hystart-by-delay.pkt", {"tcp_cubic_linux": False}),
    ("cubic-linux.pkt", {"tcp_cubic_linux": False}),
    ("ack-of-a-fin.pkt", {"tcp_delack_fin": False}),
    ("pieces-cost-too.pkt", {"tcp_linux_queue": False}),
]


@pytest.mark.parametrize(("name", "config"), SETTINGS)
def test_setting(name, config):
    path = os.path.join(FOLDER, name)
    assert run_path(path, ScriptSettings()).verdict == PASSED
    assert run_path(path, ScriptSettings(config=config)).verdict == FAILED


@pytest.mark.parametrize("path", SCRIPTS, ids=[os.path.basename(p) for p in SCRIPTS])
def test_script(path):
    verdict = run_path(path, ScriptSettings(config=NEEDS.get(os.path.basename(path), {})))
    assert verdict.verdict == PASSED, verdict.reason
    assert verdict.seconds < 60  # by the machine's clock: a script does not wait


@pytest.mark.parametrize(("name", "old", "new", "word"), CONTROLS)
def test_control(name, old, new, word):
    with open(os.path.join(FOLDER, name), encoding="utf-8") as file:
        text = file.read()
    assert old in text
    verdict = run_script(parse(text.replace(old, new, 1), name), ScriptSettings(config=NEEDS.get(name, {})))
    assert verdict.verdict == FAILED
    assert word in verdict.reason
    at = text[: text.index(old)].count("\n") + 1
    assert at - 3 <= verdict.line <= at + 12


def test_the_seed_does_not_matter():
    path = os.path.join(FOLDER, "sack-sender.pkt")
    assert all(run_path(path, ScriptSettings(seed=seed)).verdict == PASSED for seed in range(20))


def test_there_are_scripts():
    assert len(SCRIPTS) >= 30
