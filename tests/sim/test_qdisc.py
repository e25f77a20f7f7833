"""Queueing disciplines: closed forms, the control law of RFC 8289 by hand, fairness, marks, and tc's words."""

import pytest

from pystack.sim.network import MS, Network, S
from pystack.sim.programs import datagram, sleep, spawn, stream
from pystack.sim.qdisc import Bfifo, Codel, FqCodel, Pfifo, Red, Tbf, parse, parse_size
from pystack.sim.qdisc.codel import CoDelQueue
from pystack.sim.qdisc.red import _kept, _wlog
from tests import frames as f

A, B = "10.0.0.1", "10.0.0.2"


def packet(flow: int = 1, size: int = 1000, ecn: int = 0) -> bytes:
    """A UDP frame of `size` bytes; the flow is its source port."""
    plain = f.ipv4(A, B, 17, flow.to_bytes(2, "big") + b"\0\x09" + bytes(size - 38))
    head = plain[:1] + bytes((ecn,)) + plain[2:10] + b"\0\0" + plain[12:20]
    return f.ether(head[:10] + (f.ones(head) ^ 0xFFFF).to_bytes(2, "big") + head[12:] + plain[20:])


def started(qdisc, seed=1):
    """The discipline in a place, with a list of what it reports: (time, kind, reason of a drop or action, fields)."""
    told = []
    qdisc.begin("t", seed, 14, lambda time, kind, subject, why, rfc, fields: told.append((time, kind, fields)))
    return qdisc, told


def drain(qdisc, times):
    """Dequeue once at each time. Returns how many frames came out."""
    return sum(qdisc.dequeue(time) is not None for time in times)


# -- fifo ----------------------------------------------------------------------------------------------------------------


def test_a_fifo_keeps_the_order_and_drops_at_its_tail():
    qdisc, told = started(Pfifo(limit=3))
    frames = [packet(number) for number in range(5)]
    assert [qdisc.enqueue(frame, 0) for frame in frames] == [True] * 3 + [False] * 2
    assert [qdisc.dequeue(1) for _ in range(4)] == [*frames[:3], None]
    assert (
        qdisc.drops == {"overlimit": 2}
        and [fields["name"] for _, kind, fields in told if kind == "drop"] == ["qdisc-overlimit"] * 2
    )


def test_a_bfifo_counts_bytes():
    qdisc, _ = started(Bfifo(limit=2500))
    assert [qdisc.enqueue(packet(size=size), 0) for size in (1000, 1000, 501, 500)] == [True, True, False, True]


@pytest.mark.parametrize(
    ("text", "packets"), [("pfifo limit 50", 50), ("bfifo limit 75700", 50), ("pfifo limit 100", 100)]
)
def test_the_longest_wait_in_a_fifo_is_its_limit_divided_by_the_rate(text, packets):
    """20 Mbit/s are offered to 10 Mbit/s, in frames of 1,514 bytes."""
    net = Network(1)
    a, b = net.host("a"), net.host("b")
    link = net.link(a, b, addrs=(A + "/24", B + "/24"), rate=10_000_000, ab={"qdisc": text})
    net.introduce()
    taker = datagram(b)
    taker.bind("", 9)
    sent, waits = {}, []
    link.a.taps.append(lambda time, way, frame: sent.setdefault(frame[42:46], time))
    link.b.taps.append(lambda time, way, frame: waits.append(time - sent[frame[42:46]]))

    def put():
        sock = datagram(a)
        for number in range(1000):
            sock.sendto(number.to_bytes(4, "big") + bytes(1468), B, 9)
            yield sleep(605_600)

    spawn(net, put())
    net.run(2 * S)
    # A frame waits for the rest of the one on the wire and `packets` others, and is then sent itself.
    one = 1514 * 8 * 100
    assert packets * one < max(waits) <= (packets + 1) * one
    # While 1,000 frames come, 500 are sent, and `packets` wait at the end.
    assert link.a.qdisc.dropped == 1000 - len(waits) == 500 - packets and link.ab.stats.drops == {}


# -- tbf -----------------------------------------------------------------------------------------------------------------


def test_tbf_sends_a_burst_at_once_and_then_its_rate():
    qdisc, _ = started(Tbf(rate=8_000_000, burst=4000, limit=100_000))
    for _ in range(10):
        qdisc.enqueue(packet(), 0)
    times, now = [], 0
    while (at := qdisc.ready(now)) is not None:
        now = at
        assert qdisc.dequeue(now) is not None
        times.append(now)
    # 4 frames are in the bucket, and each of the others needs 1,000 bytes at 1 byte/us.
    assert times == [0, 0, 0, 0, *(MS * number for number in range(1, 7))]


def test_tbf_bounds_the_peak_and_drops_what_cannot_ever_fit():
    qdisc, _ = started(Tbf(rate=8_000_000, burst=4000, limit=100_000, peakrate=16_000_000, mtu=1000))
    assert not qdisc.enqueue(packet(size=1001), 0) and qdisc.drops == {"too-large": 1}
    for _ in range(4):
        qdisc.enqueue(packet(), 0)
    times, now = [], 0
    while (at := qdisc.ready(now)) is not None:
        assert at == now or qdisc.dequeue(at - 1) is None
        now = at
        qdisc.dequeue(now)
        times.append(now)
    assert times == [0, MS // 2, MS, 3 * MS // 2]
    assert qdisc.overlimits == 3


def test_tbf_turns_a_latency_into_a_limit():
    # 5 Mbit/s for 50 ms are 31,250 bytes, and one burst of 16 KiB.
    assert Tbf(rate=5_000_000, burst=16_384, latency=50 * MS).limit == 31_250 + 16_384
    with pytest.raises(ValueError, match="either a latency or a limit"):
        Tbf(rate=1, burst=1)


def test_tbf_on_a_host_holds_the_rate():
    net = Network(1)
    a, b = net.host("a"), net.host("b")
    net.link(a, b, addrs=(A + "/24", B + "/24"), delay=MS)
    net.introduce()
    qdisc = a.qdisc("tbf rate 1mbit burst 4kb latency 1s")
    got = []
    b.ports[0].taps.append(lambda time, way, frame: got.append((time, len(frame))))
    sock = datagram(a)
    for _ in range(50):
        sock.sendto(bytes(1000), B, 9)
    net.run(S)
    arrived = [entry for entry in got if entry[1] == 1042]
    # The bucket holds 3.93 of the 1,042 bytes.
    assert len(arrived) == 50
    assert arrived[-1][0] - MS == (50 * 1042 - 4096) * 8 * 1000
    assert qdisc.sent_packets == 50 and qdisc.dropped == 0


# -- codel ---------------------------------------------------------------------------------------------------------------


def test_the_control_law_by_hand():
    """RFC 8289 5.6: interval / sqrt(count)."""
    queue = CoDelQueue(5 * MS, 100 * MS)
    found = []
    for queue.count in (1, 2, 3, 4, 5, 16, 100):
        found.append(queue.control_law(1000) - 1000)
    assert found == [100_000_000, 70_710_678, 57_735_026, 50_000_000, 44_721_359, 25_000_000, 10_000_000]


def test_the_times_of_drops_by_hand():
    """A packet is asked for each millisecond, and all have waited since 0. The first one that is late is the one of 5 ms."""
    qdisc, told = started(Codel(limit=1000))
    for _ in range(600):
        qdisc.enqueue(packet(), 0)
    assert drain(qdisc, range(0, 500 * MS, MS)) == 500
    drops = [time // MS for time, kind, _ in told if kind == "drop"]
    # 5 + 100 = 105, 105 + 100 = 205, 205 + 70.71 = 275.71, + 57.74 = 333.45, + 50 = 383.45, + 44.72 = 428.17, + 40.82 = 468.99
    assert drops == [105, 205, 276, 334, 384, 429, 469]
    assert [fields["count"] for _, kind, fields in told if kind == "drop"] == [1, 2, 3, 4, 5, 6, 7]


def test_codel_stops_when_the_queue_is_short_and_goes_on_with_the_rate_that_worked():
    qdisc, told = started(Codel(limit=1000))
    for _ in range(330):
        qdisc.enqueue(packet(), 0)
    drain(qdisc, range(0, 400 * MS, MS))
    assert qdisc.qlen == 0 and not qdisc.queue.dropping and qdisc.queue.count == 3
    told.clear()
    for _ in range(400):
        qdisc.enqueue(packet(), 400 * MS)
    drain(qdisc, range(400 * MS, 700 * MS, MS))
    # RFC 8289 5.5: less than 16 intervals later, the count begins with 3 - 1 = 2: 505, + 70.71, + 57.74
    assert [time // MS for time, kind, _ in told if kind == "drop"] == [505, 576, 634, 684]


def test_a_short_queue_and_a_slow_link_are_left_alone():
    qdisc, told = started(Codel())
    for time in range(0, 1000 * MS, 4 * MS):
        qdisc.enqueue(packet(), time)
        qdisc.dequeue(time + 4 * MS)
    # One packet at a time waits for 12 ms, but behind it there is less than a packet.
    for time in range(1000 * MS, 2000 * MS, 12 * MS):
        qdisc.enqueue(packet(), time)
        qdisc.dequeue(time + 12 * MS)
    assert not qdisc.drops and not told


def test_with_ecn_packets_are_marked_at_the_times_of_the_drops():
    qdisc, told = started(Codel(ecn=True))
    for _ in range(600):
        qdisc.enqueue(packet(ecn=2), 0)
    out = [qdisc.dequeue(time) for time in range(0, 500 * MS, MS)]
    marked = [number for number, frame in enumerate(out) if frame[15] & 3 == 3]
    assert marked == [105, 205, 276, 334, 384, 429, 469] and not qdisc.drops and qdisc.marks == {"codel": 7}
    assert all(f.ones(out[number][14:34]) == 0xFFFF for number in marked)
    # A packet that is not capable is dropped.
    plain, _ = started(Codel(ecn=True))
    for _ in range(600):
        plain.enqueue(packet(), 0)
    drain(plain, range(0, 500 * MS, MS))
    assert plain.drops == {"codel": 7}


def test_ce_threshold_marks_what_waited_longer():
    qdisc, _ = started(FqCodel(ce_threshold=MS))
    for _ in range(4):
        qdisc.enqueue(packet(ecn=2), 0)
    assert [qdisc.dequeue(time)[15] & 3 for time in (0, MS, MS + 1, 2 * MS)] == [2, 2, 3, 3]


# -- fq_codel ------------------------------------------------------------------------------------------------------------


def test_flows_take_turns_and_a_new_flow_comes_first():
    qdisc, _ = started(FqCodel(quantum=1000))
    for _ in range(4):
        qdisc.enqueue(packet(1), 0)
    for _ in range(4):
        qdisc.enqueue(packet(2), 0)
    order = [int.from_bytes(qdisc.dequeue(1)[34:36], "big") for _ in range(4)]
    qdisc.enqueue(packet(3), 1)
    order += [int.from_bytes(qdisc.dequeue(1)[34:36], "big") for _ in range(5)]
    assert order == [1, 2, 1, 2, 3, 1, 2, 1, 2]
    assert qdisc.new_flow_count == 3 and qdisc.qlen == 0


def test_the_turns_are_fair_in_bytes():
    qdisc, _ = started(FqCodel())
    for _ in range(100):
        qdisc.enqueue(packet(1, 1500), 0)
        for _ in range(10):
            qdisc.enqueue(packet(2, 150), 0)
    counts = {1: 0, 2: 0}
    for _ in range(550):
        frame = qdisc.dequeue(1)
        counts[int.from_bytes(frame[34:36], "big")] += len(frame)
    assert abs(counts[1] - counts[2]) <= 2 * 1514


def test_a_full_queue_drops_from_the_longest_flow():
    qdisc, told = started(FqCodel(limit=100))
    for number in range(10):
        qdisc.enqueue(packet(2), number)
    for number in range(91):
        assert qdisc.enqueue(packet(1), number) is (number < 90)
    # Half of 91,000 bytes are 45,500: 46 packets go, from the head.
    assert qdisc.drops == {"overlimit": 46} and qdisc.qlen == 55 and qdisc.backlog == 55_000
    assert qdisc.drop_overlimit == 46
    big, _ = started(FqCodel(limit=1000, drop_batch=8))
    for _ in range(1001):
        big.enqueue(packet(1), 0)
    assert big.qlen == 1001 - 8


def test_memory_is_bounded_too():
    qdisc, _ = started(FqCodel(memory_limit=10_000))
    for number in range(1000):
        qdisc.enqueue(packet(number), 0)
    assert qdisc.backlog <= 10_000


def test_the_hash_depends_on_the_network_and_not_on_the_process():
    flows = [[started(FqCodel(), seed)[0].flow_of(packet(number)) for number in range(20)] for seed in (1, 1, 2)]
    assert flows[0] == flows[1] != flows[2] and len(dict.fromkeys(flows[0])) > 15
    # A fragment has no ports, so all fragments of a datagram are in one flow.
    fragment = f.ether(f.ipv4(A, B, 17, bytes(100), fragment=0x2000))
    other = f.ether(f.ipv4(A, B, 17, b"\1" * 100, fragment=10))
    qdisc = started(FqCodel())[0]
    assert qdisc.flow_of(fragment) == qdisc.flow_of(other)


# -- red -----------------------------------------------------------------------------------------------------------------


def test_the_weight_is_the_one_of_the_paper():
    # Floyd and Jacobson 1993, section 6, L=50 and min=5 packets: w <= 0.0042, so 2**-8 = 0.0039.
    # tc counts one packet less in the exponent, and gets the next smaller weight.
    assert _wlog(50, 5000, 1000) == 9 and _wlog(51, 6000, 1000) == 8
    assert Red(limit=100_000, avpkt=1000).text() == "limit 100000b min 8333b max 25000b ewma 3 probability 0.02"
    assert _kept(4, 10) / (1 << 32) == pytest.approx((15 / 16) ** 10)


def test_red_drops_nothing_below_min_all_above_max_and_some_between():
    drops = {}
    for backlog in (9_000, 40_000, 100_000):
        qdisc, _ = started(Red(limit=1 << 20, avpkt=1000, min=10_000, max=90_000, burst=20, probability=0.1))
        for _ in range(backlog // 1000):
            Bfifo.enqueue(qdisc, packet(), 0)
        qdisc._average = backlog << 32
        refused = 0
        for number in range(2000):
            if qdisc.enqueue(packet(), number):
                qdisc.dequeue(number)
            else:
                refused += 1
        drops[backlog] = refused
    # Between: the probability is 0.1 * 30 / 80 = 0.0375, and with a uniform distance of up to 1 / p packets the mean is half of that.
    assert drops[9_000] == 0 and drops[100_000] == 2000
    assert 2000 * 0.0375 * 1.6 < drops[40_000] < 2000 * 0.0375 * 2.4


def test_red_marks_capable_packets_and_harddrop_does_not_above_max():
    for harddrop, expected in ((False, ("marked 10 early 0", 10)), (True, ("marked 0 early 10", 0))):
        qdisc, told = started(
            Red(limit=1 << 20, avpkt=1000, min=10_000, max=30_000, burst=20, ecn=True, harddrop=harddrop)
        )
        qdisc._average, qdisc.qlen, qdisc.backlog = 200_000 << 32, 200, 200_000
        for _ in range(10):
            qdisc._average = 200_000 << 32
            qdisc.qlen, qdisc.backlog = 200, 200_000
            qdisc.enqueue(packet(ecn=1), 0)
        assert expected[0] in qdisc.extra()[0]
        assert sum(kind == "qdisc" for _, kind, _ in told) == expected[1]


def test_the_average_falls_while_the_link_is_idle():
    qdisc, _ = started(Red(limit=1 << 20, avpkt=1000, burst=20, bandwidth=8_000_000, min=10_000, max=30_000))
    qdisc._average = 20_000 << 32
    # In 10 ms, 10 packets of 1,000 bytes would have been sent.
    qdisc.enqueue(packet(), 10 * MS)
    assert qdisc.average == int(20_000 * (1 - 2.0**-qdisc.wlog) ** 10)


# -- words ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("pfifo", "limit 1000p"),
        ("bfifo limit 64kb", "limit 65536b"),
        ("codel", "limit 1000p target 5ms interval 100ms"),
        ("codel limit 100 ecn target 1ms", "limit 100p target 1ms interval 100ms ecn"),
        ("fq_codel", "limit 10240p flows 1024 quantum 1514 target 5ms interval 100ms memory_limit 32Mb ecn drop_batch 64"),
        ("fq_codel noecn flows 16", "limit 10240p flows 16 quantum 1514 target 5ms interval 100ms memory_limit 32Mb drop_batch 64"),
        # the weight is what `tc -d qdisc show` prints for the same line
        ("tbf rate 5mbit burst 16kb latency 50ms", "rate 5Mbit burst 16384b lat 50ms"),
        ("red limit 400kb avpkt 1000 burst 55 ecn", "limit 409600b min 34133b max 102400b ecn ewma 5 probability 0.02"),
    ],
)  # fmt: skip
def test_texts_and_defaults_are_those_of_tc(text, shown):
    assert parse(text).text() == shown


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no queueing discipline"),
        ("cake", "no queueing discipline 'cake'; there are pfifo"),
        ("pfifo limit", "limit needs a value"),
        ("pfifo limit 0", "write an int from 1"),
        ("pfifo self 1", "no parameter 'self'"),
        ("fq_codel depth 3", "no parameter 'depth'"),
        ("bfifo limit -1", "is not a size"),
        ("tbf rate 1mbit burst 10kb", "either a latency or a limit"),
        ("tbf burst 10kb latency 1ms", "rate=0"),
        ("red limit 1000 avpkt 100 min 900 max 100", "min < max"),
        ("red limit 100000 avpkt 1000 min 30000 max 90000 burst 3", "burst=3 is too small"),
        ("fq_codel flows " + "9" * 30, "is not a number"),
    ],
)
def test_what_tc_would_not_take_is_an_error(text, message):
    with pytest.raises(ValueError, match=message):
        parse(text)


def test_sizes_are_tcs():
    assert [parse_size(text) for text in ("1500", "16k", "16kb", "32kbit", "1mb", "8b")] == [
        1500,
        16384,
        16384,
        4000,
        1 << 20,
        8,
    ]


def test_statistics_have_the_form_of_tc():
    qdisc, _ = started(FqCodel())
    qdisc.enqueue(packet(), 0)
    assert qdisc.show().splitlines() == [
        "qdisc fq_codel dev t root " + qdisc.text(),
        " Sent 0 bytes 0 pkt (dropped 0, overlimits 0 requeues 0)",
        " backlog 1000b 1p requeues 0",
        "  maxpacket 0 drop_overlimit 0 new_flow_count 1 ecn_mark 0",
        "  new_flows_len 1 old_flows_len 0",
    ]


def test_a_wrong_discipline_leaves_no_half_of_a_link():
    net = Network(1)
    a, b = net.host("a"), net.host("b")
    for wrong, error in (("nothing", ValueError), (5, TypeError), (Pfifo(), ValueError)):
        with pytest.raises(error):
            net.link(a, b, qdisc=wrong)
    assert a.ports == [] and b.ports == [] and not net.links
    link = net.link(a, b, ab={"qdisc": Pfifo()})
    with pytest.raises(ValueError, match="has been in a link already"):
        link.b.set_qdisc(link.a.qdisc)
    assert link.b.qdisc is None
    assert link.a.set_qdisc(None) is None and link.a.qdisc is None


# -- bufferbloat ---------------------------------------------------------------------------------------------------------

RATE, DELAY = 10_000_000, 10 * MS


def busy(qdisc, flows=1, ecn=False, seconds=20):
    """Round trips (ns) of a small question every 50 ms beside uploads of TCP, and the discipline. The uplink has 10 Mbit/s."""
    net = Network(3)
    settings = {"tcp_wmem": 8 << 20, "tcp_rmem": 8 << 20, "tcp_ecn": 1 if ecn else 0}
    a, b = net.host("a", **settings), net.host("b", **settings)
    link = net.link(a, b, addrs=(A + "/24", B + "/24"), delay=DELAY, ab={"rate": RATE, "qdisc": qdisc})
    net.introduce()

    def take():
        listener = stream(b)
        listener.bind("", 80)
        listener.listen()
        for _ in range(flows):
            spawn(net, read((yield listener.accept())))

    def read(sock):
        while (yield sock.recv(1 << 20)):
            pass

    def put():
        sock = stream(a)
        yield sock.connect(B, 80)
        while True:
            yield sock.sendall(bytes(1 << 16))

    def answer():
        sock = datagram(b)
        sock.bind("", 7)
        while True:
            got = yield sock.recvfrom()
            sock.sendto(got.data, A, 7)

    sock, found = datagram(a), []
    sock.bind("", 7)

    def ask():
        while net.now < seconds * S:
            sock.sendto(net.now.to_bytes(64, "big"), B, 7)
            yield sleep(50 * MS)

    def hear():
        while True:
            got = yield sock.recvfrom()
            found.append(net.now - int.from_bytes(got.data, "big"))

    spawn(net, take())
    spawn(net, answer())
    for _ in range(flows):
        spawn(net, put())
    spawn(net, ask())
    spawn(net, hear())
    net.run((seconds + 1) * S)
    return sorted(found), link


@pytest.mark.slow
def test_bufferbloat_and_its_cure_in_numbers():
    """A queue of 500 packets adds up to 606 ms. FQ-CoDel adds one packet of the upload, and CoDel keeps the queue near its target."""
    bloated, fifo = busy("pfifo limit 500")
    full = 2 * DELAY + 500 * 1514 * 8 * 100
    assert 0.95 * full < bloated[-1] <= full + 2 * 1514 * 8 * 100 and bloated[len(bloated) // 2] > 300 * MS
    fair, fq = busy("fq_codel")
    # The question is alone in its flow, so it waits for the frame on the wire, and for its own 106 bytes. None is lost.
    assert len(fair) == 400 and fair[-1] <= 2 * DELAY + (1514 + 106) * 8 * 100
    one, codel = busy("codel")
    assert one[len(one) // 2] <= 2 * DELAY + 5 * MS
    # Control: a fifo with room for 5 ms is as quick, but it holds no burst, and the upload loses several times as many packets.
    short, small = busy("pfifo limit 4")
    assert short[-1] <= 2 * DELAY + 6 * 1514 * 8 * 100 and small.ab.stats.busy < codel.ab.stats.busy
    # The cure costs little: the wire is busy for nearly all of the time in all three.
    assert [link.ab.stats.busy / link.a.net.now > 0.9 for link in (fifo, fq, codel)] == [True] * 3
    assert fq.a.qdisc.drops["codel"] > 0 and fq.a.qdisc.drops["overlimit"] == 0


@pytest.mark.slow
def test_with_ecn_the_cure_loses_nothing():
    round_trips, link = busy("fq_codel", ecn=True)
    assert link.a.qdisc.marks["codel"] > 0 and link.a.qdisc.dropped == 0
    assert len(round_trips) == 400 and round_trips[-1] <= 2 * DELAY + (1514 + 106) * 8 * 100


@pytest.mark.slow
def test_red_keeps_the_average_between_its_thresholds():
    _, link = busy("red limit 600000 avpkt 1500 min 30000 max 90000 burst 30 probability 0.1 ecn", flows=4, ecn=True)
    red = link.a.qdisc
    assert 15_000 < red.average < 90_000 and sum(red.marks.values()) > 10 and red.drops["overlimit"] == 0


def test_the_same_seed_is_the_same_run():
    runs = [busy("fq_codel", seconds=7) for _ in range(2)]
    assert runs[0][0] == runs[1][0] and runs[0][1].a.qdisc.show() == runs[1][1].a.qdisc.show()


def test_the_drawing_names_the_queue():
    from pystack.sim.drawing import draw

    net = Network(1)
    net.link(net.host("a"), net.host("b"), delay=MS, ab={"qdisc": "pfifo limit 5"})
    assert "out: delay 1ms, pfifo limit 5p; back: delay 1ms" in draw(net)
