"""A learner's questions: the words name the right mechanism, with its values, and change with the run."""

import re
from pathlib import Path

import pytest

from pystack.phy import match
from pystack.sim.network import MS, Network
from pystack.stepper import Cursor, Timeline, scenarios, text
from pystack.stepper.explain import MECHANISMS, why
from pystack.stepper.scenarios.base import _Kept, connected, pair
from pystack.stepper.scenarios.loss import upload


def answer(timeline, look):
    cursor = Cursor(timeline)
    cursor.add_break(look)
    stop = cursor.run()
    assert stop is not None, look
    return why(timeline, event=stop.entry.index)


@pytest.mark.parametrize("name", scenarios.NAMES)
def test_each_scenarios_question_is_answered_by_its_mechanism(name):
    scenario = scenarios.get(name)
    for look in scenario.looks:
        found = answer(scenario.timeline(), look)
        assert found.mechanism == scenario.mechanism
        assert re.search(r"RFC \d+ \d", str(found))


@pytest.mark.parametrize("name", scenarios.NAMES)
def test_every_event_and_frame_has_an_answer(name):
    timeline = scenarios.get(name).timeline()
    for index in range(len(timeline.events)):
        found = why(timeline, event=index)
        assert found.mechanism in MECHANISMS and found.sentences
    for frame in timeline.frames:
        assert why(timeline, frame=frame.number).sentences


#: what the answer to a scenario's question must say: the mechanism by its name, and the values of this run
SAYS = {
    "arp": "not its MAC address|frame 1) was lost on the way, so a asked again after 1000 ms (frame 2|1010 ms later (frame 3)",
    "ping": "The ICMP code of b answers it itself, without any application|identifier, sequence number and data",
    "traceroute": "TTL of the packet reached 0 at r1|source address of that message is the router's",
    "fragment": "IP makes 3 fragments|They carry 1480, 1480 and 1048 bytes|If one fragment is lost, the whole datagram is lost",
    "handshake": "20 ms after it was sent|The SYN-ACK acknowledged this|The third segment acknowledged that|1460 bytes to b, SACK, timestamps and scaled",
    "http-get": "a's window (262144 bytes)|congestion window of 10 segments, so b may send that many at once (RFC 6928 2)",
    "simultaneous-open": "receives a SYN without an ACK|the result is one connection, not two",
    "loss-fast-retransmit": "first sent in frame 8 (49.752 ms before), which was lost|three segments were SACKed|in proportion to the delivered data",
    "rto": "only the timer could detect the loss|200 ms for its variation: 4 RTTVAR would be 80 ms|next timeout is 480 ms away, which is twice as long",
    "zero-window": "b closed its window|16384 bytes that its application has not read|sends only window probes|b's application read",
    "nagle": "Nagle's algorithm: 100 bytes are less than a full segment (1448 bytes)|40 ms are b's delayed ACK|TCP_NODELAY",
    "delayed-ack": "b has no data to send now|frame 5 left after 40 ms|allows up to 500 ms",
    "syn-flood": "answers the SYN of 192.0.2.108:1032 and keeps no state|keyed hash|makes the connection from this ACK alone",
    "reset": "Refused: b answered the SYN with a RST (frame 2)|ECONNREFUSED|a RST with a valid sequence number arrived from b (frame 6)|ECONNRESET",
    "time-wait": "a closed first|60 s more|b retransmits its FIN|old segments of this connection",
    "pmtud": 'reports "fragmentation needed" with the MTU|carry 1348 bytes from now on: the path MTU of 1400 bytes',
    "firewall-reject-or-drop": "handle 3 in chain forward of table ip filter says reject|after one round trip|handle 4 in chain forward"
    "|Nobody tells the client|doubles the timeout each time|verdict drop",
    "bufferbloat": "the queue is full|64 packets with|The round trip was 2|waited for|divided by the square root",
    "docker-publish": "changes the destination to 172.17.0.2:80|becomes 192.0.2.10:8080 again|changes the source to 192.0.2.10:",
    "nat": "10.0.0.2:40000 sends a datagram to 203.0.113.9:7|changes the source to 203.0.113.1:40000|get the destination 10.0.0.3:40000 again",
    "port-forward": "so the destination 203.0.113.1:7000 becomes 10.0.0.2:7, and the checksums",
    "hairpin": "203.0.113.1:7000 becomes 10.0.0.2:7|so the source 10.0.0.3|becomes 10.0.0.1",
    "tfo": "the SYN carries 100 bytes of data|cookie from an earlier connection|one round trip earlier",
    "dhcp": "from SELECTING to REQUESTING|names the server that it chose|20 s, of which T1 is 10 s",
    "dns-recursion": "the server of . refers to the zone test.|with 1 name server, and 1 of its addresses (glue)|names the servers of a zone below",
    "slow-start": "grew from 14480 to 15928 bytes|the window doubles in each round trip",
    "accept-queue": "this queue is full|does not call accept()|retransmits it after a second",
    "udp": "Its error is ECONNREFUSED|The send itself had succeeded",
    "routing": "a prefix of 24 bits|to the router 192.168.3.2|does not do so for ever|had forwarded this packet 63 times",
    "keep-alive": "nothing arrived for 60 s|keep-alive probe 1|The answer arrived 20 ms later",
    "head-of-line": "1000 bytes arrived, but bytes before them are missing|After 120 ms|could read 13000 bytes at once",
    "pmtud-blackhole": "the retransmission timer expired 4 times in a row|goes on with packets of 1076 bytes",
    "sack": "acknowledges everything before byte 1449|also has the bytes 2897:4345|fill them in one round trip",
    "ecn": "as if a segment had been lost|nothing is retransmitted|cwnd falls from",
    "bbr-vs-cubic": "only in 1.44832 ms, at 999780 bytes per second|spreads the segments",
    "load-balancer-l4": "gives the new connection of 192.0.2.1:|to 10.0.1.2:80, which has 0 open connections (round-robin)|follow this choice",
    "http2": "14480 of 14480 bytes are in flight, and 9676 more bytes wait|It continued 40 ms later",
    "mongodb": "b has no data to send now|frame 5 left after 40 ms",
    "sse": "bytes 138:168, first sent in frame 12 (220 ms before), which was lost|next timeout is 440 ms away, which is twice as long",
    "post": "The delayed-ack timer of db expired|so it is sent alone|shop has waited for it for 40.5022 ms|holds 120 bytes back until it arrives",
    "load-balancer-l7": "acknowledges one's SYN 2 ms after it was sent|lb's sequence numbers begin at",
}


@pytest.mark.parametrize("name", scenarios.NAMES)
def test_the_answer_names_the_mechanism_and_the_values(name):
    said = text.answer(scenarios.get(name).timeline(), scenarios.get(name))
    for words in SAYS[name].split("|"):
        assert words in said, said


def test_control_an_answer_is_not_another_scenarios():
    timelines = {
        name: scenarios.get(name).timeline() for name in ("rto", "nagle", "pmtud", "reset", "loss-fast-retransmit")
    }
    for name, timeline in timelines.items():
        said = text.answer(timeline, scenarios.get(name))
        for other in set(SAYS) - {name}:
            assert not all(words in said for words in SAYS[other].split("|")), (name, other)


def run(prepare, size=60_000, **settings):
    """60 kB over the link of loss-fast-retransmit; `prepare` breaks something."""
    out = _Kept()
    with Network(1) as net:
        net.record(out)
        a, b, link = pair(net, a=settings, delay=20 * MS, rate=10_000_000, queue=100)
        client, server = connected(net, a, b)
        prepare(net, link)
        upload(net, client, server, size)
    return Timeline.of(out.kept)


def retransmissions(timeline):
    chosen = [entry.index for entry in timeline.events if entry.kind == "retransmit"]
    return [why(timeline, event=index) for index in chosen]


def test_why_was_this_segment_retransmitted():
    (found,) = retransmissions(run(lambda net, link: link.ab.drop(5, match=match.is_data)))
    assert found.mechanism == "fast-retransmit"
    assert "Fast retransmit: bytes 5793:7241, first sent in frame 8" in str(found)
    assert "was lost on the way" in str(found) and "RFC 8985 6.2" in str(found)
    assert "timeout:" not in str(found).lower()


@pytest.mark.parametrize(
    ("settings", "rule"), [({"tcp_rack": False}, "RFC 6675"), ({"tcp_sack": False, "tcp_rack": False}, "RFC 5681 3.2")]
)
def test_the_rule_that_found_the_loss_is_named(settings, rule):
    found = retransmissions(run(lambda net, link: link.ab.drop(5, match=match.is_data), **settings))
    assert {one.mechanism for one in found} == {"fast-retransmit"}
    assert rule in found[0].sentences[1] and "RACK" not in str(found[0])
    if "tcp_sack" in settings:
        assert "duplicate ACK number 3" in str(found[0])


def test_control_a_timeout_is_no_fast_retransmit():
    def down(net, link):
        link.down()
        net.after(700 * MS, link.restore)

    found = retransmissions(run(down, tcp_tlp=False))
    assert {one.mechanism for one in found} == {"rto"}
    assert all("Fast retransmit" not in str(one) for one in found)
    assert "No acknowledgement of it arrived within 240.118 ms" in str(found[0])
    assert any("An ACK arrived, so cwnd has room again" in str(one) for one in found)


def test_control_without_the_floor_the_variation_is_four_rttvar():
    def down(net, link):
        link.down()
        net.after(700 * MS, link.restore)

    found = retransmissions(run(down, tcp_tlp=False, tcp_rto_var_min=0))
    assert "SRTT 40.1184 ms and 4 RTTVAR, 80.2368 ms, for its variation (RFC 6298 2.3)" in str(found[0])
    assert "floor" not in str(found[0])


def test_control_two_segments_behind_the_hole_and_the_reordering_window_is_waited_for():
    found = retransmissions(run(lambda net, link: link.ab.drop(5, match=match.is_data), size=7 * 1448, tcp_tlp=False))
    assert {one.mechanism for one in found} == {"fast-retransmit"}
    assert "the reordering window (a quarter of the shortest round trip, " in str(found[0])
    assert "has passed: the reordering timer expired" in str(found[0])
    assert "three segments" not in str(found[0])


def test_control_a_tail_loss_probe_is_neither():
    def tail(net, link):
        link.ab.drop(41, 42, match=match.is_data)

    found = retransmissions(run(tail))
    assert found[0].mechanism == "tail-loss-probe"
    assert "RFC 8985 7.2" in str(found[0]) and "Retransmission timeout" not in str(found[0])


def test_control_a_small_path_is_no_loss():
    timeline = scenarios.get("pmtud").timeline()
    found = retransmissions(timeline)
    assert found and {one.mechanism for one in found} == {"pmtud"}


def test_control_a_lost_syn():
    out = _Kept()
    with Network(1) as net:
        net.record(out)
        a, b, link = pair(net, delay=20 * MS)
        link.ab.drop(1)
        connected(net, a, b)
    (found,) = retransmissions(Timeline.of(out.kept))
    assert found.mechanism == "syn-timeout" and "RFC 6298 2.1" in str(found) and "1000 ms" in str(found)


def test_a_syn_that_comes_again_is_no_timeout():
    out = _Kept()
    with Network(1) as net:
        net.record(out)
        a, b, link = pair(net, delay=20 * MS)
        link.ab.hold(1, extra=100 * MS)  # so that a's second SYN is there before b's own timer is due
        link.ba.drop(1)
        connected(net, a, b)
    timeline = Timeline.of(out.kept)
    again = [entry for entry in timeline.events if str(entry.kind) == "tcp.retransmit"]
    assert [(entry.host, entry.rfc) for entry in again] == [("a", "RFC 6298 5.4"), ("b", "Linux tcp_check_req")]
    first, second = [why(timeline, event=entry.index) for entry in again]
    assert first.mechanism == "syn-timeout"  # control: a's was one
    assert second.mechanism == "syn-again" and "a retransmitted its SYN" in str(second) and "frame 3" in str(second)


def test_why_did_the_sender_stop_here():
    timeline = scenarios.get("zero-window").timeline()
    found = answer(timeline, 'host == "a" and event.kind == "hold" and tcb.snd_wnd == 0')
    assert "Zero window: a stopped because b closed its window" in str(found)
    assert "holds 16384 bytes that its application has not read" in str(found)


def test_control_a_full_congestion_window_is_no_zero_window():
    timeline = run(lambda net, link: None)
    found = answer(timeline, 'host == "a" and event.kind == "hold"')
    assert found.mechanism == "congestion-window" and "14480 of 14480 bytes" in str(found)
    assert "Zero window" not in str(found)


def test_control_a_window_that_is_full_but_not_closed():
    timeline = scenarios.get("zero-window").timeline()
    found = answer(
        timeline, 'host == "a" and event.kind == "hold" and tcb.snd_wnd > 0 and tcb.in_flight >= tcb.snd_wnd'
    )
    assert found.mechanism == "window"


def test_why_40_ms():
    found = answer(scenarios.get("nagle").timeline(), scenarios.get("nagle").looks[0])
    assert "Nagle's algorithm: 100 bytes are less than a full segment" in str(found)
    assert "It waited 50 ms" in str(found) and "40 ms are b's delayed ACK" in str(found)
    assert "RFC 9293 3.7.4" in str(found) and "RFC 9293 3.8.6.3" in str(found)


def test_control_nagle_without_a_delayed_ack():
    """The other side acknowledges at once: Nagle still holds, and the 40 ms are not told."""
    out = _Kept()
    with Network(1) as net:
        net.record(out)
        a, b, _ = pair(net, b={"tcp_quickack_segs": 1 << 20, "tcp_delack_time": 0}, delay=5 * MS)
        client, server = connected(net, a, b)
        client.call("send", bytes(100), 0)
        client.call("send", bytes(100), 0)
        net.run(net.now + 500 * MS)
    found = answer(Timeline.of(out.kept), 'event.kind == "hold"')
    assert found.mechanism == "nagle" and "It waited 10 ms" in str(found)
    assert "delayed ACK" not in str(found)


def test_the_frame_says_what_became_of_it():
    timeline = scenarios.get("loss-fast-retransmit").timeline()
    assert "Frame 8 never arrived: it was lost between a and b." in str(why(timeline, frame=8))
    assert "never arrived" not in str(why(timeline, frame=9))


def test_a_frame_that_waited_says_why():
    timeline = scenarios.get("nagle").timeline()
    assert "The data had waited 50 ms" in str(why(timeline, frame=6))
    assert "It had waited" not in str(why(timeline, frame=4))


RECORDED = Path(__file__).resolve().parents[1] / "trace" / "data" / "before-moves.pytrace"


@pytest.mark.parametrize("name", [*scenarios.NAMES, "a recording of one side"])
def test_every_frame_has_an_answer_in_sentences_which_repeats_nothing(name):
    timeline = Timeline.load(str(RECORDED)) if name not in scenarios.NAMES else scenarios.get(name).timeline()
    for frame in timeline.frames:
        found = why(timeline, frame=frame.number)
        assert found.mechanism in MECHANISMS
        assert len(set(found.sentences)) == len(found.sentences) > 0
        for sentence in found.sentences:
            assert sentence[0].isupper() or sentence.split()[0].rstrip(",'s") in {
                *timeline.hosts,
                timeline.peer,
                "cwnd",
            }, sentence
            assert sentence.rstrip(")")[-1] in ".?" and "ABORT" not in sentence
        assert frame.summary not in str(found) or found.mechanism == "told"


def test_an_inbound_frame_says_what_it_meant_changed_and_caused():
    timeline = Timeline.load(str(RECORDED))
    answers = {frame.number: str(why(timeline, frame=frame.number)) for frame in timeline.frames}
    assert answers[7].startswith(
        "The host 10.0.0.1 asks which MAC address 10.0.0.2 has. Because of it, pystack sends frame 8."
    )
    assert answers[13].startswith(
        "The SYN asks pystack for a connection to port 80. pystack makes a new connection (SYN-RECEIVED), and its listening socket stays in LISTEN."
    )
    assert "72 bytes of data can be read now. Because of it, pystack sends frame 17." in answers[16]
    assert "it acknowledges 102 bytes of data. The round trip took 2.01394 ms." in answers[18]
    assert "the other side has no more data to send (FIN)" in answers[19]


def test_the_worst_answers_of_before():
    fragment = scenarios.get("fragment").timeline()
    assert "one more fragment of datagram" in str(why(fragment, frame=2)) and "the last fragment" in str(
        why(fragment, frame=3)
    )
    late = str(why(fragment, frame=10))
    assert "did not get all fragments" in late and late.count("fragments arrived") == 0
    assert "the application aborts the connection" in str(why(scenarios.get("reset").timeline(), frame=6))
    assert "asks the server for a cookie" in str(why(scenarios.get("tfo").timeline(), frame=1))
    assert "asks the server for a cookie" not in str(why(scenarios.get("handshake").timeline(), frame=1))


@pytest.mark.parametrize(
    "name, frame, words",
    [
        ("ping", 1, "ARP request for 10.0.0.2"),
        ("dhcp", 1, "DHCP DISCOVER: it asks all servers"),
        ("dhcp", 1, "A program on c makes the whole packet itself and sends it by a packet socket"),
        ("dhcp", 2, "A program reads it all the same: its packet socket has a copy of each frame"),
        ("dhcp", 6, "ARP probe: c wants to use the address 10.0.0.10"),
        ("dhcp", 7, "ARP announcement: c uses the address 10.0.0.10"),
        ("docker-publish", 8, "the source 172.17.0.2:80 becomes 192.0.2.10:8080"),
        ("docker-publish", 3, "The SYN waited for the MAC address"),
        ("load-balancer-l4", 2, "to 10.0.1.2:80, which has 0 open connections"),
        ("syn-flood", 76, "the number of a SYN cookie, which b computes again"),
        ("time-wait", 8, "Retransmission timeout: the FIN, first sent in frame 6"),
        ("zero-window", 32, "Window probe 3: b closed its window"),
        ("zero-window", 29, "answers the probe of a: the window of b is still closed"),
        ("keep-alive", 7, "answers the probe of a, so b is still there"),
        ("keep-alive", 14, "a sends a RST, because the peer did not answer 6 keep-alive probes"),
        ("accept-queue", 18, "its congestion window begins with 1448 bytes"),
        ("pmtud-blackhole", 36, "The segment is shorter than the one that was lost"),
        (
            "handshake",
            1,
            "b makes a new connection (SYN-RECEIVED), and its listening socket stays in LISTEN.",
        ),
        (
            "post",
            186,
            "first sent in frame 126 (44.4933 ms before), which was lost as frame 147 between gateway and proxy",
        ),
        ("pmtud", 30, "first sent in frame 8 (10 ms before), which was dropped by r1."),
        ("bufferbloat", 287, "which was dropped by the queue of a:eth0."),
        ("reset", 2, "the other side refuses the connection"),
        ("reset", 6, "b has aborted it"),
        ("time-wait", 9, "the segment had not been lost, so the sender undoes the reduction of its window"),
        ("rto", 8, "it has doubled once."),
        ("ecn", 1, "ECE and CWR offer explicit congestion notification"),
        ("ecn", 2, "Its flag ECE agrees"),
        ("ecn", 232, "the ACK echoes a congestion mark (ECE), so the sender reduces its window"),
        ("head-of-line", 64, "so ssthresh does not fall"),
        ("traceroute", 2, 'the ICMP message "time exceeded"'),
        ("accept-queue", 16, "The client is not told."),
        ("udp", 1, "The program on a sends 100 bytes to 10.0.0.2:9 in a datagram."),
        ("http-get", 4, "It carries HTTP: GET / HTTP/1."),
        ("time-wait", 8, "The segment repeats the FIN of b, which a has already."),
        ("zero-window", 28, "a sequence number that b has acknowledged already"),
        ("firewall-reject-or-drop", 9, "Nobody tells the client."),
        ("http2", 4, "It carries HTTP/2: connection preface; SETTINGS; HEADERS, stream 1: GET /1"),
        ("http2", 9, "The data is a part of a longer message of HTTP/2."),
    ],
)
def test_the_answer_at_a_frame(name, frame, words):
    """What was wrong, empty or misleading when all frames of all scenarios were read from end to end."""
    said = str(why(scenarios.get(name).timeline(), frame=frame))
    assert words in said, said


def test_the_last_ack_of_a_fast_open_is_no_duplicate():
    said = str(why(scenarios.get("tfo").timeline(), frame=14))
    assert "from SYN-RECEIVED to ESTABLISHED" in said and "missing or late" not in said


def test_what_a_packet_socket_reads_is_not_lost():
    """A DHCP client reads the offer before the host has its address, so IP refuses the packet, and a program takes it."""
    timeline = scenarios.get("dhcp").timeline()
    assert timeline.frames[1].fate == "delivered" and not timeline.frames[1].drops
    assert timeline.frames[5].fate == "dropped"  # the control: an ARP probe that nobody needs


def said_at(name, look):
    return str(answer(scenarios.get(name).timeline(), look))


@pytest.mark.parametrize(
    "name, look, words",
    [
        ("handshake", 'event.kind == "tcp.window" and host == b', "The SYN of the peer says how much b may send before an acknowledgement: 65535 bytes."),
        ("handshake", 'event.kind == "tcp.in" and host == b', "The SYN asks b for a connection to port 80. b makes a new connection"),
        ("handshake", 'event.kind == "state" and event.fields["old"] == "LISTEN" and event.fields["new"] == "CLOSED"', "b stops listening: the listener was closed."),
        ("zero-window", 'event.kind == "cwnd" and event.fields["new"] < event.fields["old"]', "fell from 30408 to 14480 bytes: the connection was idle"),
        ("routing", 'event.kind == "icmp.in"', "a router has no route to the network of the destination"),
        ("ping", 'event.kind == "arp.in"', "The host 10.0.0.1 asks which MAC address 10.0.0.2 has."),
        ("udp", 'event.kind == "ip.in" and frame.number == 7', "On b, the packet is for this host"),
        ("handshake", 'event.kind == "call" and "connect" in event.fields["name"]', "The program on a opens a connection to port 80 of 10.0.0.2."),
        ("ping", 'event.kind == "call" and "setsockopt" in event.fields["name"]', "The program on a sets the socket option IP_TTL to 64."),
        ("reset", 'event.kind == "call" and event.fields["result"] == "ConnectionResetError: [Errno 104] Connection reset by peer"', "The call fails: Connection reset by peer (ConnectionResetError)."),
        ("http-get", 'event.kind == "call" and event.fields["result"] == "0 bytes"', "reads the end: the other side has no more data to send."),
        ("udp", 'event.kind == "return"', "is done."),
        ("http-get", 'event.kind == "return" and "recv" in event.fields["name"]', "has found nothing yet"),
        ("firewall-reject-or-drop", 'event.kind == "state" and event.fields["old"] == "SYN-SENT" and event.fields["new"] == "CLOSED"', "Refused: r1, a firewall, answered the SYN with a RST (frame 4), because a rule rejects the segment"),
        ("firewall-reject-or-drop", 'event.kind == "retransmit" and time > 3', "no answer arrived within 2000 ms"),
        ("firewall-reject-or-drop", 'event.kind == "nft.trace"', "it matches the rule with handle 4, and the verdict is"),
        ("head-of-line", 'event.kind == "tcp.acked" and event.fields["length"]', "b acknowledges 1000 bytes: everything before byte 1001 has arrived"),
        ("handshake", 'event.kind == "tcp.rtt"', "the retransmission timeout (RTO) is"),
        ("handshake", 'event.kind == "tcp.mss"', "carries at most 1448 bytes of data from now on (before: 536)"),
        ("handshake", 'event.kind == "cwnd"', "The congestion window begins with 14480 bytes"),
        ("handshake", 'event.kind == "timer.set"', "If no acknowledgement arrives until then, a retransmits."),
        ("ping", 'event.kind == "arp.state" and event.fields["new"] == "STALE"', "a request of 10.0.0.1 arrived, which also says its own MAC address"),
        ("zero-window", 'event.kind == "tcp.ack" and "window update" in event.reason', "Window update: the application read"),
        ("post", 'event.kind == "hold" and host == client', "It did not wait: the program wrote more at the same moment, and frame 26 carries both."),
        ("dns-recursion", 'event.kind == "dns"', "Recursion for www.shop.test. A: the server of . at"),
    ],
)  # fmt: skip
def test_the_answer_at_an_event(name, look, words):
    """What was wrong or circular when the answers at all kinds of events were read."""
    assert words in said_at(name, look)


def test_calls_with_results_that_no_scenario_has():
    from pystack.stepper.explain.calls import _words
    from pystack.symbols import option_name

    look = type("Look", (), {"host": "a", "entry": type("Entry", (), {"rfc": "RFC 9293 3.9.1"})()})()
    assert "but the send buffer is full, so it waits" in _words(look, "send", ["5 bytes", "0"], None)
    assert "The stack takes 3 of them." in _words(look, "send", ["5 bytes", "0"], 3)
    assert _words(look, "note", [], None) is None and _words(look, "setsockopt", ["x"], None) is None
    assert option_name(6, 1) == "TCP_NODELAY" and option_name(6, 999) == "999 of level 6" == option_name(6, 999)


def test_addresses_in_calls_are_addresses():
    calls = [entry.text() for entry in scenarios.get("handshake").timeline().events if entry.kind == "call"]
    assert "connect(10.0.0.2, 80) = None [RFC 9293 3.9.1]" in calls


def test_a_datagram_says_what_it_asks_and_answers():
    pytest.importorskip("dns")
    timeline = scenarios.get("dns-recursion").timeline()
    asks, refers, answers = (str(why(timeline, frame=number)) for number in (1, 3, 7))
    assert "it asks for the records of www.shop.test (A)" in asks.lower().replace("(a)", "(A)")
    assert "names the servers that know more" in refers and "it has 2 records in answer" in answers


def test_the_ladders_say_what_a_datagram_of_dns_or_dhcp_is():
    pytest.importorskip("dns")
    from pystack.stepper import messages

    recursion = scenarios.get("dns-recursion").timeline()
    said = [messages.beside(recursion.frames[number - 1]).lower() for number in (1, 3, 7)]
    assert said == [
        "dns: www.shop.test (a)?",
        "dns: www.shop.test (a): names other servers",
        "dns: www.shop.test (a): 2 records",
    ]
    assert messages.beside(scenarios.get("dhcp").timeline().frames[1]) == "DHCP OFFER"
    assert messages.beside(scenarios.get("udp").timeline().frames[0]) == ""  # the control: it is of no program


@pytest.mark.parametrize(
    "payload",
    [b"", bytes(12), b"\0" * 5 + b"\1" + b"\0" * 6 + b"\xc0\x0c", b"\0" * 5 + b"\1" + b"\0" * 6 + b"\x3f", bytes(240)],
)
def test_a_forged_message_of_dns_or_dhcp_says_nothing_wrong(payload):
    from pystack.stepper.explain import datagrams

    for port in (53, 67):
        header = bytes((0x45, 0)) + (28 + len(payload)).to_bytes(2, "big") + bytes(5) + b"\x11" + bytes(10)
        udp = port.to_bytes(2, "big") * 2 + (8 + len(payload)).to_bytes(2, "big") + bytes(2)
        frame = type("Frame", (), {"link": 0, "data": header + udp + payload})()
        assert isinstance(datagrams.carries(frame), str) and isinstance(datagrams.brief(frame), str)


def test_a_packet_in_a_loop_is_counted_and_others_are_not():
    """Probes of traceroute that were forwarded before are other packets."""
    from pystack.stepper.explain import paths

    timeline = scenarios.get("traceroute").timeline()
    drops = [entry for entry in timeline.events if entry.kind == "drop" and entry.fields["name"] == "forward-ttl"]
    assert len(drops) > 1 and not any(
        "forwarded" in str(paths.expired(paths.Look(timeline, entry.index))) for entry in drops
    )
    assert "Routers had forwarded this packet 63 times." in said_at(
        "routing", 'event.kind == "drop" and event.fields["name"] == "forward-ttl"'
    )


@pytest.mark.parametrize(
    "subject, port, words",
    [
        ("ct icmp 10.0.0.3-192.0.2.2 id 4", 4, "10.0.0.3 sends an ICMP query (identifier 4) to 192.0.2.2, and a rule of r changes the source to 192.0.2.1 (RFC 3022 2.2)"),
        ("ct udp 10.0.0.3:5-192.0.2.2:53", 9, "10.0.0.3:5 sends a datagram to 192.0.2.2:53, and a rule of r changes the source to 192.0.2.1:9"),
        ("ct tcp 10.0.0.3:5-192.0.2.2:80", 9, "10.0.0.3:5 opens a connection to 192.0.2.2:80"),
    ],
)  # fmt: skip
def test_translations_of_all_protocols(subject, port, words):
    from pystack.stepper.explain import translating

    fields = {"addr": "192.0.2.1", "port": port, "kind": "snat"}
    entry = type("Entry", (), {"fields": fields, "subject": subject, "reason": "a rule says masquerade"})()
    assert words in str(translating.bound(type("Look", (), {"entry": entry, "host": "r"})()))


def _as_rst(frame):
    """A SYN as the RST that follows it, with its checksum."""
    from pystack.phy.segmenter import ones_sum

    tcp = bytearray(frame[34:])
    tcp[4:8] = (int.from_bytes(tcp[4:8], "big") + 1).to_bytes(4, "big")
    tcp[13], tcp[16:18] = 4, bytes(2)
    pseudo = frame[26:34] + b"\0\6" + len(tcp).to_bytes(2, "big")
    tcp[16:18] = (ones_sum(pseudo + bytes(tcp)) ^ 0xFFFF).to_bytes(2, "big")
    return frame[:34] + bytes(tcp)


def test_a_reset_of_a_half_open_connection_reaches_no_program():
    """As traceroute -T does it: a SYN, and a RST before the handshake is complete."""
    from pystack.stepper.scenarios.base import B, listener
    from pystack.stepper.scenarios.opening import GATEWAY, _syn

    out = _Kept()
    with Network(1) as net:
        net.record(out)
        b, flood = net.host("b"), net.wire("flood")
        net.link(b, flood, delay=5 * MS)
        b.addr(f"{B}/24")
        b.route("default", via="10.0.0.254")
        b.neighbor("10.0.0.254", GATEWAY)
        listener(b)
        syn = _syn("192.0.2.7", 3, b.port().iface.mac)
        flood.send(syn)
        net.after(20 * MS, flood.send, _as_rst(syn))
        net.run(net.now + 100 * MS)
    timeline = Timeline.of(out.kept)
    ended = answer(timeline, 'event.kind == "state" and event.fields["old"] == "SYN-RECEIVED"')
    assert ended.mechanism == "reset" and "The listener goes on, and no program learns of it" in str(ended)
    assert "ECONNRESET" not in str(ended)
    assert "The RST ends the connection before it was open" in str(why(timeline, frame=timeline.frames[-1].number))


def test_who_refuses_behind_a_router():
    """The frame with the RST comes from the router, but the server made it."""
    from pystack.sim.programs import spawn, stream
    from pystack.stepper.scenarios.base import finish
    from pystack.stepper.scenarios.link import chain

    out = _Kept()
    with Network(1) as net:
        net.record(out)
        a, _router, _b = chain(net, (1500, 1500))

        def connect():
            try:
                yield stream(a).connect("10.0.1.2", 9)
            except OSError:
                pass

        finish(net, spawn(net, connect()))
    said = str(answer(Timeline.of(out.kept), 'event.kind == "state" and event.fields["old"] == "SYN-SENT"'))
    assert said.startswith("Refused: b answered the SYN with a RST") and "no socket listens on the port" in said


@pytest.mark.parametrize(
    "flags, size, words",
    [
        (2, 0, "a SYN, which asks for a connection, from 10.0.0.1 to port 80 of 10.0.0.2"),
        (18, 0, "a SYN-ACK, which accepts a connection,"), (4, 0, "a RST"), (17, 0, "a FIN"), (16, 0, "an acknowledgement without data"),
        (24, 1, "1 byte of data from"),
    ],
)  # fmt: skip
def test_what_a_router_forwards_between_others(flags, size, words):
    """A recording of a router alone has no other host that could say what its frames mean."""
    from pystack.stepper.explain import contents

    tcp = bytes((0, 5, 0, 80)) + bytes(8) + bytes((0x50, flags)) + bytes(6) + bytes(size)
    packet = (
        bytes((0x45, 0))
        + (20 + len(tcp)).to_bytes(2, "big")
        + bytes(5)
        + b"\6"
        + bytes(2)
        + bytes((10, 0, 0, 1, 10, 0, 0, 2))
        + tcp
    )
    frame = type("Frame", (), {"link": 2, "data": packet, "length": len(packet)})()
    assert words in contents.passes(frame)


@pytest.mark.parametrize(
    "proto, words", [("tcp", "retransmits it, and doubles the timeout"), ("udp", "UDP and ICMP retransmit nothing")]
)
def test_what_a_firewall_drops_silently(proto, words):
    """A datagram that a filter drops is not sent again."""
    from pystack.stepper.explain import below

    entry = type("Entry", (), {"subject": f"{proto} 10.0.0.1:5-10.0.0.2:80", "reason": "a rule says drop", "time": 0})()
    look = type("Look", (), {"entry": entry, "host": "r", "last": lambda *_, **__: None})()
    assert words in str(below._filtered(look, "nft-drop"))
