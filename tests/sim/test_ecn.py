"""ECN end to end: a queue that marks instead of dropping, with RFC 3168's and RFC 9768's feedback, and without."""

import shutil
import subprocess

import pytest

from pystack.phy.match import is_data
from pystack.sim.channel import mark_ce
from pystack.testing.lab import MS, S, lab_net, pattern

RATE = 10_000_000  # R = 40 ms: 33 segments
SIZE = 3_000_000


def transfer(ecn, mark=20, size=SIZE, algorithm="reno", capture=None, **settings):
    """Upload through a bottleneck that marks: the lab, the client's and the server's tcp_info, the time."""
    link = {"ab": {"rate": RATE, "queue": 100, "mark": mark}}
    lab = lab_net(20 * MS, profile="linux", tcp_ecn=ecn, tcp_congestion=algorithm, link=link, **settings)
    if capture is not None:
        lab.net.capture(str(capture), lab.a.port())
    client, server = lab.connected()
    elapsed = lab.upload(pattern(size), client, server)
    lab.net.run(lab.net.now + S)
    return lab, client.info(), server.info(), elapsed


@pytest.mark.parametrize("offload", [False, True])
@pytest.mark.parametrize("algorithm", ["reno", "cubic"])
def test_each_mark_is_counted_and_told(algorithm, offload):
    lab, sender, receiver, _ = transfer(3, algorithm=algorithm, offload=offload)
    marked = lab.link.ab.stats.marked
    assert marked > 10 and receiver["tcpi_received_ce"] == sender["tcpi_delivered_ce"] == marked
    # What the option tells, to the byte; nothing was lost, nothing sent again.
    for name in ("e0", "e1", "ce"):
        assert sender[f"tcpi_delivered_{name}_bytes"] == receiver[f"tcpi_received_{name}_bytes"]
    assert sender["tcpi_delivered_ce_bytes"] + sender["tcpi_delivered_e0_bytes"] == SIZE
    assert lab.link.ab.stats.dropped() == 0 and sender["tcpi_total_retrans"] == 0
    assert sender["tcpi_accecn_fail_mode"] == receiver["tcpi_accecn_fail_mode"] == 0


def test_without_options_the_counter_alone_does():
    lab, sender, receiver, _ = transfer(3, tcp_ecn_option=0)
    assert sender["tcpi_accecn_opt_seen"] == 0 and sender["tcpi_delivered_ce_bytes"] == 0
    assert sender["tcpi_delivered_ce"] == receiver["tcpi_received_ce"] == lab.link.ab.stats.marked > 10


def test_the_responses_are_those_of_classic_ecn():
    """Once a round trip both: the time is the same within a few per cent; the queue stays near the threshold."""
    _, _, _, accurate = transfer(3)
    _, _, _, classic = transfer(1)
    assert accurate == pytest.approx(classic, rel=0.05)


def longest_silence(**settings):
    """The longest time between two of the sender's segments, once the queue marks, and what became of the link."""
    lab, _, _, elapsed = transfer(1, **settings)
    times = [seg.time for seg in lab.log.data("a")]
    silence = max(b - a for a, b in zip(times, times[1:]) if a - times[0] > 10 * 40 * MS)
    return silence, elapsed, lab.b.stack.counters.IpExtInCEPkts


@pytest.mark.parametrize("algorithm", ["reno", "cubic"])
def test_the_response_may_be_spread_over_a_round_trip(algorithm):
    """tcp_prr_ecn: no pause while half of the window drains, and no other goodput."""
    silence, elapsed, marks = longest_silence(algorithm=algorithm, tcp_prr_ecn=True)
    assert silence < 10 * MS and marks > 10
    at_once, control, marks = longest_silence(algorithm=algorithm)
    assert at_once > 20 * MS and marks > 10
    assert elapsed == pytest.approx(control, rel=0.03)


def test_a_loss_while_the_response_is_spread_is_answered_by_it():
    """RFC 3168 6.1.2: once a window of data."""
    lab = lab_net(
        20 * MS, tcp_ecn=1, tcp_congestion="reno", tcp_prr_ecn=True, tcp_init_cwnd=20, tcp_init_ssthresh=20 * 1460
    )
    client, server = lab.connected()
    told = []

    class Watch:
        def event(self, event):
            if event.kind in ("tcp.recovery", "tcp.cwnd"):
                told.append((event.kind, event.fields.get("phase"), event.fields.get("ssthresh")))

    lab.a.stack.probe = Watch()
    lab.link.ab.rule(is_data, lambda n: n == 1, lambda frame, arrival: [(arrival, mark_ce(frame, 14))])
    lab.link.ab.drop(12, match=is_data)
    lab.upload(pattern(100 * 1460), client, server)
    assert [phase for kind, phase, _ in told if kind == "tcp.recovery"] == ["cwr", "recovery", "open"]
    assert {ssthresh for kind, _, ssthresh in told if kind == "tcp.cwnd"} == {10 * 1460}
    assert lab.a.counters.TcpRetransSegs == 1 and lab.a.counters.TcpExtTCPTimeouts == 0


def test_control_without_ecn_nothing_is_marked_and_the_queue_overflows():
    lab, sender, _, _ = transfer(0)
    assert lab.link.ab.stats.marked == 0 and sender["tcpi_delivered_ce"] == 0
    assert lab.link.ab.stats.dropped() > 0 and lab.link.ab.stats.queue_max == 100
    ecn, _, _, _ = transfer(3)
    assert ecn.link.ab.stats.queue_max < 100


def test_control_no_marks_no_counts():
    _, sender, receiver, _ = transfer(3, mark=None)
    assert sender["tcpi_delivered_ce"] == receiver["tcpi_received_ce"] == 0
    assert sender["tcpi_delivered_e0_bytes"] == receiver["tcpi_received_e0_bytes"] > 0


@pytest.mark.parametrize("keep", [2, 4])
def test_thinned_acks_never_make_marks_fewer(keep):
    """3.2.2.5: a network that drops most ACKs makes the 3-bit counter go round; what is read is never less than what was."""
    link = {"ab": {"rate": RATE, "queue": 200, "mark": 5}}
    lab = lab_net(20 * MS, profile="linux", tcp_ecn=3, link=link, tcp_ecn_option=0)
    client, server = lab.connected()
    counter = iter(range(1, 1 << 30))
    lab.link.ba.drop_if(lambda frame: not is_data(frame) and next(counter) % keep != 0)
    lab.upload(pattern(SIZE), client, server)
    lab.link.ba.rules.clear()
    lab.net.run(lab.net.now + 5 * S)
    sender, receiver = client.info(), server.info()
    assert receiver["tcpi_received_ce"] == lab.link.ab.stats.marked > 0
    assert sender["tcpi_delivered_ce"] >= receiver["tcpi_received_ce"]


def test_a_path_that_clears_the_flags_leaves_a_connection_without_ecn():
    lab = lab_net(20 * MS, profile="linux", tcp_ecn=3)

    def clear(frame, arrival):
        out = bytearray(frame)
        old = int.from_bytes(out[46:48], "big")
        out[46] &= 0xFE
        out[47] &= 0x3F
        total = (~int.from_bytes(out[50:52], "big") & 0xFFFF) + (~old & 0xFFFF) + int.from_bytes(out[46:48], "big")
        total = (total & 0xFFFF) + (total >> 16)
        out[50:52] = (~((total & 0xFFFF) + (total >> 16)) & 0xFFFF).to_bytes(2, "big")
        return [(arrival, bytes(out))]

    lab.link.ab.rule(lambda frame: len(frame) > 54 and frame[23] == 6, lambda n: True, clear)
    client, server = lab.connected()
    lab.upload(pattern(100_000), client, server)
    assert client.info()["tcpi_options"] & 8 == 0 and server.info()["tcpi_options"] & 8 == 0


@pytest.mark.skipif(shutil.which("tshark") is None, reason="needs tshark")
def test_tshark_reads_the_flags_and_the_option(tmp_path):
    path = tmp_path / "accecn.pcapng"
    lab, _, receiver, _ = transfer(3, size=300_000, mark=5, capture=path)
    lab.net.close()
    expression = "tcp.flags.syn == 1 || (tcp.srcport == 80 && tcp.len == 0)"
    command = ["tshark", "-r", str(path), "-Y", expression, "-T", "fields"]
    for field in (
        "tcp.flags.syn",
        "tcp.flags.ae",
        "tcp.flags.cwr",
        "tcp.flags.ece",
        "tcp.option_kind",
        "tcp.flags.ace",
    ):
        command += ["-e", field]
    out = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    rows = [line.split("\t") for line in out.splitlines()]

    def number(row):
        return int("".join("1" if bit in ("1", "True") else "0" for bit in row[1:4]), 2)

    assert [number(row) for row in rows[:2]] == [0b111, 0b010]  # SYN, SYN-ACK
    assert "172" in rows[1][4].split(",")
    acks = rows[2:]
    assert int(acks[0][5]) == 5 and int(acks[-1][5]) == (5 + receiver["tcpi_received_ce"]) & 7
    assert receiver["tcpi_received_ce"] == lab.link.ab.stats.marked > 0
    assert any("172" in row[4].split(",") for row in acks)
