"""Middleboxes: each does to real connections what it says, at the computed time, and without it the same connection goes on."""

import errno
import io
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pystack_c.const as C
from pystack.phy import match
from pystack.sim.boxes import (
    OPTIONS,
    Corrupter,
    EcnBleacher,
    Middlebox,
    MssRewriter,
    NatTimeout,
    OptionStripper,
    Resetter,
    ScaleRewriter,
)  # fmt: skip
from pystack.sim.boxtext import parse
from pystack.sim.middlebox import IN, OUT, ip_end, mended, reset, segment_of, through
from pystack.sim.network import Network
from pystack.sim.programs import datagram
from pystack.sim.schedule import Schedule
from pystack.stepper.timeline import Timeline
from pystack.stepper.verify import verify
from pystack.testing.lab import MS, S, lab_net, pattern, sleep, stream
from pystack.trace.replay import replay
from tests.frames import ones

D = 50 * MS  # one way


def ending(lab, sock):
    """Wait for the end of a connection: (the time, the bytes, and the error or 0)."""

    def program():
        got = b""
        try:
            while data := (yield sock.recv(1 << 16)):
                got += data
        except OSError as error:
            return lab.net.now, got, error.errno
        return lab.net.now, got, 0

    return program()


def bad_checksums(lab):
    return [host.counters.TcpInCsumErrors + host.counters.IpInHdrErrors for host in (lab.a, lab.b)]


# -- NAT timeouts ------------------------------------------------------------------------------------------------------


def idle_then_send(lab, gap, client, server):
    """Send a byte after `gap` ns without packets. Returns what both sides had in the next 100 s."""
    waiting = [lab.spawn(ending(lab, sock)) for sock in (client, server)]
    start = lab.net.now + gap

    def program():
        yield sleep(gap)
        yield client.sendall(b"x")

    lab.spawn(program())
    lab.net.run(start + 100 * S)
    return start, [proc.value if proc.finished() else None for proc in waiting]


@pytest.mark.parametrize("near, extra", [("a", 0), ("b", 2 * D)])
def test_a_nat_that_resets_after_its_timeout(near, extra):
    """The reset is there at once if the box is at the client's end, and after a round trip if it is at the server's."""
    lab = lab_net(D)
    box = lab.link.middlebox(NatTimeout(30 * S, "reset"), near=getattr(lab, near))
    client, server = lab.connected()
    start, (mine, its) = idle_then_send(lab, 31 * S, client, server)
    assert mine == (start + extra, b"", errno.ECONNRESET)
    assert its is None  # the server has not noticed: the connection is half open
    assert box.stats == {"reset": 1}


def test_a_nat_that_drops_after_its_timeout():
    lab = lab_net(D)
    box = lab.link.middlebox(NatTimeout(30 * S))
    client, server = lab.connected()
    _, ends = idle_then_send(lab, 31 * S, client, server)
    assert ends == [None, None] and client.endpoint.bytes_acked == 0
    assert box.stats["nat"] == client.endpoint.total_retrans + 1 > 3


@pytest.mark.parametrize("gap", [31 * S, 29 * S])
def test_keepalive_and_shorter_pauses_keep_the_mapping(gap):
    """The control: a pause below the timeout, or keep-alive probes that are more frequent than the timeout."""
    lab = lab_net(D)
    box = lab.link.middlebox(NatTimeout(30 * S))
    client, server = lab.connected()
    if gap > 30 * S:
        for option in ((1, 9, 1), (6, 4, 20), (6, 5, 20)):
            client.setsockopt(*option)
    idle_then_send(lab, gap, client, server)
    assert server.endpoint.bytes_received == 1 and not box.stats


def test_the_timeout_is_exact():
    box = NatTimeout(30 * S)
    box.begin("nat", 1, C.LINK_ETHERNET, None)
    syn, data = frame(flags=C.SYN), frame(flags=C.ACK)
    assert box.process(OUT, syn, 0) == [(OUT, syn)]
    assert box.process(OUT, data, 30 * S - 1) == [(OUT, data)]
    assert box.process(OUT, data, 60 * S - 1) == []
    assert box.process(OUT, syn, 60 * S) == [(OUT, syn)]  # a new connection with the same ports
    assert box.process(IN, frame(flags=C.ACK, back=True), 61 * S) != []
    assert box.process(IN, frame(flags=C.ACK, back=True, sport=81), 61 * S) == []
    rst = frame(flags=C.RST, sport=99)
    nat = NatTimeout(S, "reset")
    nat.begin("nat", 1, C.LINK_ETHERNET, None)
    assert nat.process(OUT, rst, 0) == []  # a reset is never answered


def test_udp_passes_again_when_the_near_end_sends():
    lab = lab_net(D)
    lab.link.middlebox(NatTimeout(30 * S))
    client, server = datagram(lab.a), datagram(lab.b)
    client.bind("", 5000)
    server.bind("", 53)
    got = []

    def listen(sock):
        while True:
            got.append((lab.net.now, (yield sock.recvfrom()).data))

    lab.spawn(listen(client))
    lab.spawn(listen(server))
    lab.net.introduce()
    for at, sock, data, to in (
        (0, server, b"before", ("10.0.0.1", 5000)),
        (S, client, b"ask", ("10.0.0.2", 53)),
        (2 * S, server, b"answer", ("10.0.0.1", 5000)),
        (40 * S, server, b"late", ("10.0.0.1", 5000)),
        (50 * S, client, b"again", ("10.0.0.2", 53)),
        (51 * S, server, b"answer again", ("10.0.0.1", 5000)),
    ):
        lab.net.at(at, sock.sendto, data, *to)
    lab.net.run(60 * S)
    assert [data for _, data in got] == [b"ask", b"answer", b"again", b"answer again"]


def test_a_full_table_forgets_the_connection_that_was_idle_longest():
    box = NatTimeout(3600 * S, most=2)
    box.begin("nat", 1, C.LINK_ETHERNET, None)
    for time, port in enumerate((1, 2, 1, 3)):
        assert box.process(OUT, frame(flags=C.SYN, sport=port), time)
    passed = [bool(box.process(OUT, frame(flags=C.ACK, sport=port), 9)) for port in (1, 2, 3)]
    assert passed == [True, False, True]


# -- resets ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("both", [True, False])
def test_a_reset_after_so_many_bytes(both):
    lab = lab_net(D)
    box = lab.link.middlebox(Resetter(after_bytes=100_000, both=both))
    client, server = lab.connected()
    waiting = [lab.spawn(ending(lab, sock)) for sock in (client, server)]

    def put():
        try:
            yield client.sendall(pattern(500_000))
        except OSError as error:
            return error.errno

    sending = lab.spawn(put())
    lab.net.run(lab.net.now + 100 * S)
    assert errno.ECONNRESET in (sending.value, waiting[0].value[2])
    assert box.stats == {"reset": 1}
    # Without a reset of its own, the server learns it from the client's host, which knows the connection no more.
    _, got, error = waiting[1].value
    assert error == errno.ECONNRESET and pattern(500_000).startswith(got)
    assert 100_000 - 1460 <= len(got) < 100_000 if both else len(got) < 100_000
    alone = Resetter(after_bytes=5, both=both)
    alone.begin("r", 1, C.LINK_ETHERNET, None)
    sent = alone.process(OUT, frame(flags=C.ACK, payload=b"12345"), 0)
    assert [way for way, _ in sent] == ([IN, OUT] if both else [IN])


def test_other_ports_and_fewer_bytes_are_not_reset():
    lab = lab_net(D)
    box = lab.link.middlebox(Resetter(after_bytes=100_000, port=80))
    client, server = lab.connected()
    lab.upload(pattern(99_000), client, server)
    other, its = lab.connected(port=81)
    lab.upload(pattern(200_000), other, its)
    assert not box.stats


def test_a_port_alone_is_refused():
    lab = lab_net(D)
    lab.link.middlebox(Resetter(port=80))
    lab.listener()

    def program():
        started = lab.net.now
        try:
            yield from lab.client()
        except OSError as error:
            return lab.net.now - started, error.errno

    # The box is at the client's end, and answers the SYN at once.
    assert lab.run(program()) == [(0, errno.ECONNREFUSED)]


def test_a_reset_at_a_time():
    lab = lab_net(D)
    client, server = lab.connected()
    at = lab.net.now + 5 * S
    lab.link.middlebox(Resetter(at=at))
    waiting = lab.spawn(ending(lab, server))

    def program():
        for _ in range(10):
            yield sleep(2 * S)
            yield client.sendall(b"x")

    with pytest.raises(OSError, match="reset"):
        lab.run(program())
    lab.net.run(lab.net.now + S)
    start = at - 5 * S
    # The third byte is the first segment after that time; the reset takes its place.
    assert waiting.value == (start + 6 * S + D, b"xx", errno.ECONNRESET)


# -- options -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["nop", "remove"])
@pytest.mark.parametrize(
    "option, agreed", [("sack-permitted", "sack_ok"), ("timestamps", "ts_ok"), ("window-scale", "snd_wscale")]
)
def test_a_stripped_option_is_not_agreed_on(option, agreed, how):
    lab = lab_net(D, profile="linux")
    plain = lab.connected(port=81)
    assert all(getattr(sock.endpoint, agreed) for sock in plain)  # the control
    box = lab.link.middlebox(OptionStripper(option, how=how))
    client, server = lab.connected()
    assert not any(getattr(sock.endpoint, agreed) for sock in (client, server))
    lab.upload(pattern(50_000), client, server)
    assert bad_checksums(lab) == [0, 0] and box.stats["strip"] >= 1


@given(
    st.lists(st.sampled_from([*OPTIONS.values(), 1, 77]), max_size=5),
    st.lists(st.sampled_from([*OPTIONS.values(), 77]), min_size=1, max_size=4),
    st.sampled_from(["nop", "remove"]),
    st.binary(max_size=40),
)
def test_stripping_leaves_a_valid_segment_with_the_other_options(there, stripped, how, payload):
    sizes = {
        1: 1,
        OPTIONS["mss"]: 4,
        OPTIONS["window-scale"]: 3,
        OPTIONS["sack-permitted"]: 2,
        OPTIONS["timestamps"]: 10,
    }
    options = b""
    for kind in there:
        size = sizes.get(kind, 6)
        option = b"\x01" if kind == 1 else bytes((kind, size)) + bytes(range(size - 2))
        if len(options) + size <= 40:
            options += option
    before = frame(flags=C.SYN, options=options, payload=payload)
    box = OptionStripper(*stripped, how=how)
    box.begin("strip", 1, C.LINK_ETHERNET, None)
    ((_, after),) = box.process(OUT, before, 0)
    one, two = segment_of(before, 14), segment_of(after, 14)
    kept = [before[at : at + length] for kind, at, length in one.options() if kind not in (1, *stripped)]
    assert [after[at : at + length] for kind, at, length in two.options() if kind != 1] == kept
    assert after[two.data : two.end] == payload and len(after) == two.end
    assert checksums(after) == (0xFFFF, 0xFFFF)
    if how == "nop":
        assert len(after) == len(before)
    elif any(kind in stripped for kind in there):
        assert two.data - two.l4 <= 20 + -(-len(options) // 4) * 4


def test_an_mss_may_be_rewritten_to_a_larger_one():
    for always in (False, True):
        box = MssRewriter(9000, always=always)
        box.begin("mss", 1, C.LINK_ETHERNET, None)
        ((_, after),) = box.process(OUT, frame(flags=C.SYN, options=b"\x02\x04\x05\xb4"), 0)
        assert after[-2:] == (9000 if always else 1460).to_bytes(2, "big") and checksums(after) == (0xFFFF, 0xFFFF)


def test_the_largest_segment_has_the_rewritten_size():
    seen = {}
    for size in (None, 500):
        lab = lab_net(D, tcp_timestamps=False)
        if size:
            lab.link.middlebox(MssRewriter(size))
        lengths = seen[size] = []
        lab.a.port().taps.append(lambda time, way, data, lengths=lengths: lengths.append(match.tcp_length(data)))
        client, server = lab.connected()
        lab.upload(pattern(20_000), client, server)
        assert bad_checksums(lab) == [0, 0]
    assert (max(seen[None]), max(seen[500])) == (1460, 500)


def test_a_broken_window_scale_makes_windows_small():
    """Each side believes that the other one does not scale, so it takes the scaled number for the window."""
    windows = []
    for broken in (False, True):
        lab = lab_net(D)
        if broken:
            lab.link.middlebox(ScaleRewriter(0))
        client, server = lab.connected()
        lab.upload(pattern(1000), client, server)
        lab.net.run(lab.net.now + S)  # the acknowledgement may be delayed
        windows.append((client.endpoint.snd_wnd, server.endpoint.rcv_wscale))
        duration = lab.upload(pattern(1_000_000), client, server)
        windows[-1] += (duration,)
    (right, shift, fast), (wrong, same, slow) = windows
    assert shift == same > 0 and wrong == right >> shift
    # A window of W bytes carries at most W bytes in each round trip.
    assert slow >= (1_000_000 // wrong - 1) * 2 * D > 2 * fast


# -- ECN, queues and corruption ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("bleached", [False, True])
def test_ecn_is_bleached(bleached):
    lab = lab_net(10 * MS, tcp_ecn=1)
    lab.link.ab.set(rate=5_000_000, queue=100, mark=5)
    if bleached:
        lab.link.middlebox(EcnBleacher())
    client, server = lab.connected()
    lab.upload(pattern(300_000), client, server)
    marked = lab.link.ab.stats.marked
    assert (marked == 0) == bleached
    assert (lab.b.counters.IpExtInCEPkts == 0) == bleached and bad_checksums(lab) == [0, 0]


def test_a_deep_queue_delays_everything_by_its_length():
    """Bufferbloat: a ping behind an upload waits for the whole queue, 256 KiB at 1 Mbit/s."""
    waits = {}
    for profile in ("bufferbloat", "dsl"):
        net = Network(seed=1)
        a, b = net.host("a", tcp_wmem=4 << 20, tcp_wmem_max=4 << 20), net.host("b", tcp_rmem=4 << 20)
        link = net.link(a, b, profile=profile, addrs=("10.0.0.1/24", "10.0.0.2/24"))
        lab = type(lab_net())(net, a, b, link)
        client, server = lab.connected()
        lab.spawn(ending(lab, server))

        def pour(client=client):
            yield client.sendall(bytes(4 << 20))

        lab.spawn(pour())
        net.run(20 * S)
        waits[profile] = link.ab.stats.wait_max
    full = (1_000_000 * 2_097 * MS // (8 * S)) * 8 * S // 1_000_000
    assert full * 95 // 100 < waits["bufferbloat"] <= full
    assert waits["dsl"] <= 250 * MS


def test_corruption_that_no_checksum_shows():
    data = pattern(100_000)
    for box, channel in ((Corrupter(every=10), {}), (None, {"corrupt": 0.1})):
        lab = lab_net(D)
        client, server = lab.connected()
        if box is not None:
            lab.link.middlebox(box, near=lab.b)
        lab.link.set(**channel)
        waiting = lab.spawn(ending(lab, server))

        def put(client=client):
            yield client.sendall(data)
            client.shutdown()

        lab.run(put())
        lab.net.run(lab.net.now + 100 * S)
        _, got, error = waiting.value
        assert error == 0 and len(got) == len(data)
        wrong = (int.from_bytes(got, "big") ^ int.from_bytes(data, "big")).bit_count()
        if box is not None:
            assert wrong == box.stats["corrupt"] == len(data) // 1448 // 10
            assert bad_checksums(lab) == [0, 0]
        else:  # the control: a bit that is flipped without mending the checksum costs a retransmission
            assert wrong == 0 and lab.b.counters.TcpInCsumErrors > 0


# -- what is shown and recorded ----------------------------------------------------------------------------------------

BOXES = {
    "nat-drop": (
        lambda: NatTimeout(30 * S),
        "DROPPED box-nat: the box forgot this connection, because it was idle for 30s",
    ),
    "nat-reset": (lambda: NatTimeout(30 * S, "reset"), "idle for 30s, and it answers with a reset [RFC 5382 5 REQ-5]"),
    "reset": (lambda: Resetter(after_bytes=2000), "the box resets the connection after 2448 bytes [RFC 3360]"),
    "strip": (lambda: OptionStripper("timestamps"), "the box strips TCP options: timestamps"),
    "mss": (lambda: MssRewriter(800), "the box rewrites the MSS of the SYN: 1460 -> 800 [RFC 4459 3.2]"),
    "window-scale": (lambda: ScaleRewriter(2), "the box rewrites the window scale of the SYN: "),
    "ecn": (EcnBleacher, "the box clears the ECN field, which was ECT(0) [RFC 3168 18.1]"),
    "corrupt": (lambda: Corrupter(0.5), "of the payload and mends the checksum"),
}


class Kept(io.BytesIO):
    """A file whose content is there after it was closed."""

    def close(self):
        pass


def scene(*boxes, seed=1, watch=None):
    """Two bursts of data with a pause of 40 s. Returns the recording and the network."""
    file = Kept()
    with Network(seed=seed) as net:
        net.record(file)
        if watch is not None:
            net.watch(watch)
        a, b = net.host("a", tcp_ecn=1), net.host("b", tcp_ecn=1)
        link = net.link(a, b, addrs=("10.0.0.1/24", "10.0.0.2/24"), delay=D)
        for box in boxes:
            link.middlebox(box)
        lab = type(lab_net())(net, a, b, link)
        client, server = lab.connected()

        def put():
            try:
                yield client.sendall(pattern(1000))
                yield sleep(40 * S)
                yield client.sendall(pattern(2000))
                yield sleep(S)
                yield client.sendall(pattern(1000))
            except OSError:
                pass

        lab.spawn(ending(lab, server))
        lab.spawn(put())
        net.run(60 * S)
    return file.getvalue(), net


def test_boxes_work_without_ethernet():
    """On a link of bare IP packets, and with a host that gives its device groups of segments."""
    lab = lab_net(D, offload=True, link={"kind": C.LINK_IP, "mtu": 1400})
    clamp, nat = lab.link.middlebox(MssRewriter(700)), lab.link.middlebox(NatTimeout(30 * S, "reset"))
    client, server = lab.connected()
    lab.upload(pattern(100_000), client, server)
    start, (mine, _) = idle_then_send(lab, 31 * S, client, server)
    assert mine == (start, b"", errno.ECONNRESET)
    assert (clamp.stats["mss"], nat.stats["reset"]) == (2, 1) and bad_checksums(lab) == [0, 0]


@pytest.mark.parametrize("kind", BOXES)
def test_each_box_explains_itself_and_is_recorded(kind):
    make, text = BOXES[kind]
    lines = []
    box = make()
    recording, _ = scene(box, watch=lambda record: lines.append(record.line()))
    mine = [line for line in lines if f" {box.name} " in line]
    assert any(text in line for line in mine), mine
    assert replay(io.BytesIO(recording)).frames > 8
    assert scene(make())[0] == recording  # the same bytes
    assert box.stats
    # the stepper has the box as a host of its own
    timeline = Timeline.of(recording)
    assert timeline.lanes == ["a", "b", box.name]
    assert timeline.boxes == [box.name] and verify(timeline, recording).values > 1000
    told = [entry for entry in timeline.events if entry.host == box.name and entry.kind in ("box", "drop")]
    assert any(text.replace("DROPPED box-nat: ", "") in entry.text() for entry in told)
    assert len(told) >= sum(box.stats.values())
    into = [sent for sent in timeline.frames if sent.to == box.name]
    assert into and all(sent.arrival is not None for sent in into)
    out = [sent for sent in timeline.frames if sent.host == box.name]
    assert bool(out) == (kind != "nat-drop")
    assert all(sent.to in ("a", "b") and sent.why for sent in out)


def test_a_run_with_a_box_is_changed_as_a_whole_and_not_frame_by_frame():
    """The stepper counts the frames of a host at its channel, where those that a box has taken are missing."""
    from pystack.stepper.branch import ChangeError, Drop, LinkSet, branch
    from pystack.stepper.scenarios.base import Scenario, listener, pair

    def run(net):
        a, b, link = pair(net)
        link.middlebox(MssRewriter(500))
        listener(b)
        lab = type(lab_net())(net, a, b, link)
        lab.run(lab.client())

    scenario = Scenario("box", run, "a box", "why?", (), "")
    assert scenario.timeline().boxes == ["a-b-mss"]
    with pytest.raises(ChangeError, match="cannot be changed in a run with a middlebox"):
        branch(scenario, None, Drop(1))
    slower = branch(scenario, -1, LinkSet(delay=70 * MS))
    assert slower.boxes and slower.end > scenario.timeline().end


def test_without_a_box_there_are_no_such_events():
    lines = []
    recording, _ = scene(watch=lambda record: lines.append(record.line()))
    assert not any("the box" in line for line in lines) and Timeline.of(recording).lanes == ["a", "b"]


def test_chance_comes_from_the_seed():
    assert scene(Corrupter(0.5), seed=1)[0] != scene(Corrupter(0.5), seed=2)[0]
    flips = []
    for seed in (1, 1, 2):
        box = Corrupter(0.5)
        box.begin("c", seed, C.LINK_ETHERNET, None)
        flips.append([box.process(OUT, frame(flags=C.ACK, payload=bytes(100)), 0) for _ in range(20)])
    assert flips[0] == flips[1] != flips[2]


@pytest.mark.parametrize("seed", range(6))
def test_many_faults_at_once_are_recorded_and_replayed(seed):
    """Boxes, clocks, reboots, cuts and bad links at random times: the same bytes again, a replay, and a timeline."""
    recording = chaos(seed)
    assert chaos(seed) == recording
    assert replay(io.BytesIO(recording)).frames > 100
    assert len(Timeline.of(recording).boxes) >= 3


def chaos(seed):
    rnd = random.Random(seed)
    boxes = [
        lambda: NatTimeout(rnd.randrange(1, 20 * S), rnd.choice(["drop", "reset"]), most=rnd.choice([1, 100])),
        lambda: Resetter(after_bytes=rnd.randrange(100_000), both=rnd.random() < 0.5),
        lambda: OptionStripper(*rnd.sample([2, 3, 4, 5, 8, 30, 34], 2), how=rnd.choice(["nop", "remove"])),
        lambda: MssRewriter(rnd.choice([48, 500, 9000]), always=True),
        lambda: ScaleRewriter(rnd.randrange(15), rnd.choice(["in", "out", "both"])),
        EcnBleacher,
        lambda: Corrupter(0.1),
    ]
    file = Kept()
    with Network(seed=seed) as net:
        net.record(file)
        a, b = net.host("a", tcp_ecn=1, offload=seed % 2 == 1), net.host("b", profile="rfc", tcp_ecn=1)
        link = net.link(a, b, addrs=("10.0.0.1/24", "10.0.0.2/24"), delay=10 * MS)
        plan = Schedule(net)
        for _ in range(3):
            at = rnd.randrange(10 * S)
            plan.middlebox(at, link, rnd.choice(boxes)(), until=at + rnd.randrange(1, 30 * S), near=rnd.choice([a, b]))
        plan.clock(rnd.randrange(20 * S), a, ppm=rnd.choice([500, -500_000, 500_000]), offset=-S)
        plan.freeze(15 * S, b, until=17 * S)
        plan.reboot(rnd.randrange(20 * S, 30 * S), b, after=S)
        plan.cut(rnd.randrange(20 * S, 30 * S), link, until=31 * S)
        bad = {"loss": 0.05, "corrupt": 0.01, "duplicate": 0.1, "jitter": 3 * MS, "reorder": 0.1, "reorder_delay": MS}
        plan.change(5 * S, link, until=40 * S, **bad)
        lab = type(lab_net())(net, a, b, link)

        def accept(listener):
            try:
                while True:
                    lab.spawn(ending(lab, (yield listener.accept())))
            except OSError as error:
                assert error.errno == errno.ENETDOWN  # the host has rebooted

        def ask():
            for _ in range(10):
                sock = stream(a)
                try:
                    yield sock.connect("10.0.0.2", 80)
                    for _ in range(3):
                        yield sock.sendall(pattern(rnd.randrange(60_000)))
                        yield sleep(rnd.randrange(5 * S))
                except OSError:
                    yield sleep(S)
                sock.close()

        lab.spawn(accept(lab.listener()))
        b.on_boot.append(lambda host: lab.spawn(accept(lab.listener())))
        lab.spawn(ask())
        net.run(90 * S)
    return file.getvalue()


# -- order, schedules and wrong use ------------------------------------------------------------------------------------


def test_two_boxes_are_passed_in_their_order():
    """The near one sees the original. Its clamp holds for the other one, which never sees a larger value."""
    lab = lab_net(D)
    near, far = lab.link.middlebox(MssRewriter(1000)), lab.link.middlebox(MssRewriter(900, ways="out"))
    server_side = lab.link.middlebox(MssRewriter(900), near=lab.b)
    lab.connected()
    assert (near.stats["mss"], far.stats["mss"], server_side.stats["mss"]) == (1, 1, 1)
    assert lab.link.boxes() == [near, far, server_side]
    lab.link.remove(far)
    assert lab.link.boxes() == [near, server_side]
    with pytest.raises(ValueError, match="is not in the link"):
        lab.link.remove(far)


def test_each_box_sees_each_frame_once_in_the_order_of_its_way():
    """From outside, the far box is the first one. What a box sends back passes the boxes on that way, too."""
    seen = []

    class Seer(Middlebox):
        def __init__(self, number):
            super().__init__()
            self.number = number

        def handle(self, way, frame, now):
            seen.append((self.number, way))
            segment = self.segment(frame)
            if self.number == 2 and segment.dport == 80 and segment.flags == C.SYN:
                return [(IN, reset(segment, True)), (OUT, frame)]
            return [(way, frame)]

    boxes = [Seer(number) for number in (1, 2, 3)]
    assert [way for way, _ in through(boxes, 2, IN, frame(flags=C.ACK, back=True), 0)] == [IN]
    assert seen == [(3, IN), (2, IN), (1, IN)]
    seen.clear()
    assert [way for way, _ in through(boxes, 0, OUT, frame(flags=C.SYN), 0)] == [IN, OUT]
    assert seen == [(1, OUT), (2, OUT), (1, IN), (3, OUT)]


def test_a_reset_of_one_box_passes_the_others():
    lab = lab_net(D)
    options = lab.link.middlebox(OptionStripper("sack-permitted"))
    nat = lab.link.middlebox(NatTimeout(10 * S, "reset"))
    client, server = lab.connected()
    start, (mine, _) = idle_then_send(lab, 20 * S, client, server)
    assert mine == (start, b"", errno.ECONNRESET) and nat.stats == {"reset": 1} and options.stats


def test_a_schedule_puts_boxes_in_and_takes_them_out():
    lab = lab_net(D)
    plan = Schedule(lab.net)
    box = Corrupter(every=1)
    plan.middlebox(10 * S, lab.link, box, until=20 * S)
    plan.change(30 * S, lab.link, until=40 * S, loss=1.0)
    client, server = lab.connected()
    got = []

    def put():
        for _ in range(5):
            yield client.sendall(b"\0\0")
            yield sleep(10 * S)

    def take():
        while True:
            got.append((yield server.recv(10)))

    lab.spawn(take())
    lab.spawn(put())
    lab.net.run(15 * S)
    assert lab.link.boxes() == [box]
    lab.net.run(35 * S)
    assert lab.link.boxes() == [] and lab.link.ab.loss == 1.0
    lab.net.run(100 * S)
    assert lab.link.ab.loss == lab.link.ba.loss == 0.0
    assert [data == b"\0\0" for data in got] == [True, False, True, True, True]
    early = NatTimeout(S)
    plan.middlebox(110 * S, lab.link, early, until=120 * S)
    lab.net.run(111 * S)
    lab.link.remove(early)  # by hand, before its time
    lab.net.run(130 * S)
    for wrong, error in (
        (lambda: plan.middlebox(200 * S, lab.link, "nat"), TypeError),
        (lambda: plan.middlebox(200 * S, "a-b", NatTimeout(1)), ValueError),
        (lambda: plan.middlebox(2.5, lab.link, NatTimeout(1)), TypeError),
        (lambda: plan.middlebox(200 * S, lab.link, NatTimeout(1), until=100 * S), ValueError),
        (lambda: plan.middlebox(200 * S, lab.link, NatTimeout(1), near="a"), ValueError),
        (lambda: plan.change(200 * S, lab.link, loss=2), ValueError),
        (lambda: plan.change(200 * S, lab.link, speed=2), TypeError),
    ):
        with pytest.raises(error):
            wrong()


def test_a_box_is_for_one_link():
    lab = lab_net(D)
    box = lab.link.middlebox(NatTimeout(S))
    other = Network()
    link = other.link(other.host("a"), other.host("b"))
    with pytest.raises(ValueError, match="make a new one for each link"):
        link.middlebox(box)
    assert link.boxes() == []
    with pytest.raises(TypeError, match="is no middlebox"):
        link.middlebox("nat-timeout")
    with pytest.raises(ValueError, match="is no end of the link"):
        link.middlebox(NatTimeout(S), near=lab.a)
    first, second = link.middlebox(NatTimeout(S)), link.middlebox(NatTimeout(S))
    assert (first.name, second.name) == ("a-b-nat-timeout", "a-b-nat-timeout'")
    with pytest.raises(ValueError, match="already a node"):
        other.host("a-b-nat-timeout")


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: NatTimeout(0), "idle=0: write an int from 1 to"),
        (lambda: NatTimeout(-5), "idle=-5"),
        (lambda: NatTimeout(1.5), "idle=1.5"),
        (lambda: NatTimeout(float("nan")), "idle=nan"),
        (lambda: NatTimeout(True), "idle=True"),
        (lambda: NatTimeout(1 << 63), "idle="),
        (lambda: NatTimeout(S, "maybe"), "answer='maybe'"),
        (lambda: NatTimeout(S, most=0), "most=0"),
        (lambda: NatTimeout(S, most=1 << 40), "most="),
        (lambda: Resetter(after_bytes=-1), "after_bytes=-1"),
        (lambda: Resetter(after_bytes="10"), "after_bytes=10"),
        (lambda: Resetter(at=1e9), "at=1000000000.0"),
        (lambda: Resetter(port=0), "port=0: write an int from 1 to 65535"),
        (lambda: Resetter(port=65536), "port=65536"),
        (lambda: Resetter(both=1), "both=1"),
        (lambda: OptionStripper(), "name the options"),
        (lambda: OptionStripper("sak"), "'sak' is no TCP option"),
        (lambda: OptionStripper(0), "0 is no TCP option"),
        (lambda: OptionStripper(1), "1 is no TCP option"),
        (lambda: OptionStripper(256), "256 is no TCP option"),
        (lambda: OptionStripper(None), "None is no TCP option"),
        (lambda: OptionStripper("mss", how="cut"), "how='cut'"),
        (lambda: OptionStripper("mss", ways="up"), "ways='up'"),
        (lambda: MssRewriter(0), "mss=0"),
        (lambda: MssRewriter(65536), "mss=65536"),
        (lambda: MssRewriter(10, always="no"), "always='no'"),
        (lambda: ScaleRewriter(15), "shift=15"),
        (lambda: ScaleRewriter(-1), "shift=-1"),
        (lambda: EcnBleacher("sideways"), "ways='sideways'"),
        (lambda: Corrupter(), "give a probability"),
        (lambda: Corrupter(1.1), "probability=1.1"),
        (lambda: Corrupter(float("nan")), "probability=nan"),
        (lambda: Corrupter(every=0), "every=0"),
        (lambda: Corrupter(0.1, port="80"), "port=80"),
    ],
)
def test_settings_that_are_not_allowed(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    "text",
    [
        "nat-timeout idle=30s, answer=reset", "reset after_bytes=1000, port=80, both=no", "strip options=sack-permitted+77, how=remove",
        "mss mss=1200, always=yes", "window-scale shift=3", "ecn-bleach", "corrupt probability=1%, every=5, port=80",
    ],
)  # fmt: skip
def test_a_text_describes_a_box(text):
    written = text.replace(", ", ",").replace(" ", ":", 1)
    assert parse(written).text() == text


@pytest.mark.parametrize(
    "text, message",
    [
        ("nat", "there is no middlebox 'nat'; there are nat-timeout, reset"),
        ("", "there is no middlebox ''"),
        ("nat-timeout", "nat-timeout needs more settings, such as nat-timeout:idle=30s"),
        ("nat-timeout:idle", "has the settings idle, answer, most"),
        ("nat-timeout:idle=30", "nat-timeout: idle: '30' is not a time"),
        ("nat-timeout:idle=1s,idle=2s", "idle is named twice"),
        ("nat-timeout:idle=0s", "idle=0"),
        ("nat-timeout:idle=1s,answer=", "answer=''"),
        ("reset:port=http", "'http' is not a whole number"),
        ("reset:port=99999", "port=99999"),
        ("reset:both=maybe", "write yes or no"),
        ("strip", "name the options to strip"),
        ("strip:options=", "'' is no TCP option"),
        ("mss", "mss needs more settings"),
        ("mss:mss=-1", "'-1' is not a whole number"),
        ("corrupt:probability=nan", "'nan' is not a probability"),
        ("corrupt", "give a probability"),
        ("ecn-bleach:ways=x", "ways='x'"),
    ],
)
def test_texts_that_describe_no_box(text, message):
    with pytest.raises(ValueError) as caught:
        parse(text)
    assert message in str(caught.value)


# -- packets -----------------------------------------------------------------------------------------------------------


def frame(*, flags, sport=1000, options=b"", payload=b"", back=False, seq=100, ack=200):
    """A TCP segment between two hosts, with right checksums."""
    options += bytes(-len(options) % 4)
    ports = (80, sport) if back else (sport, 80)
    ends = bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2))
    src, dst = ends[::-1] if back else ends
    tcp = ports[0].to_bytes(2, "big") + ports[1].to_bytes(2, "big") + seq.to_bytes(4, "big") + ack.to_bytes(4, "big")
    tcp += bytes(((20 + len(options)) // 4 << 4, flags, 1, 0, 0, 0, 0, 0)) + options + payload
    pseudo = src + dst + bytes((0, 6)) + len(tcp).to_bytes(2, "big")
    tcp = tcp[:16] + (ones(pseudo + tcp) ^ 0xFFFF).to_bytes(2, "big") + tcp[18:]
    ip = bytes((0x45, 0)) + (20 + len(tcp)).to_bytes(2, "big") + bytes((0, 1, 0, 0, 64, 6, 0, 0)) + src + dst
    ip = ip[:10] + (ones(ip) ^ 0xFFFF).to_bytes(2, "big") + ip[12:]
    return bytes(12) + b"\x08\x00" + ip + tcp


def checksums(data):
    """The sums of the IP header and of the segment with its pseudo-header: 0xFFFF each if they are right."""
    segment = segment_of(data, 14)
    length = segment.end - segment.l4
    pseudo = data[26:34] + bytes((0, data[23])) + length.to_bytes(2, "big")
    return ones(data[14 : segment.l4]), ones(pseudo + data[segment.l4 : segment.end])


@given(st.binary(min_size=1, max_size=60), st.integers(0, 479), st.integers(1, 0xFFFF))
def test_a_mended_checksum_is_as_right_or_as_wrong_as_before(payload, bit, error):
    before = frame(flags=C.ACK, payload=payload)
    bit %= len(payload) * 8
    after = bytearray(before)
    after[len(before) - len(payload) + (bit >> 3)] ^= 0x80 >> (bit & 7)
    assert checksums(mended(before, bytes(after), 14)) == (0xFFFF, 0xFFFF)
    wrong = bytearray(before)
    wrong[50:52] = ((int.from_bytes(before[50:52], "big") + error) & 0xFFFF).to_bytes(2, "big")
    if checksums(bytes(wrong))[1] == 0xFFFF:
        return  # 0 and 0xFFFF are the same sum
    after[50:52] = wrong[50:52]
    assert checksums(mended(bytes(wrong), bytes(after), 14))[1] != 0xFFFF


@given(st.binary(max_size=100), st.integers(0, 99), st.integers(0, 255))
def test_no_frame_confuses_a_box(junk, at, value):
    """Random bytes, and a segment with a changed byte: what a box does not understand passes unchanged, or is still a frame."""
    changed = bytearray(
        frame(flags=C.SYN | C.ACK, options=b"\x02\x04\x05\xb4\x04\x02\x03\x03\x07", payload=b"abc" * 10)
    )
    changed[at % len(changed)] = value
    for data in (junk, bytes(12) + b"\x08\x00" + junk, bytes(changed)):
        for make, _ in BOXES.values():
            for kind in (C.LINK_ETHERNET, C.LINK_LOOPBACK):
                box = make()
                reports = []
                box.begin("x", 1, kind, lambda *told, reports=reports: reports.append(told))
                for way in (OUT, IN):
                    for _, sent in box.process(way, data, S):
                        assert sent == data or ip_end(sent, 14 if kind == C.LINK_ETHERNET else 0)
                if not reports:
                    assert not box.stats


def test_the_numbers_of_a_reset():
    data = segment_of(frame(flags=C.ACK, payload=b"12345"), 14)
    back, on = segment_of(reset(data, True), 14), segment_of(reset(data, False), 14)
    assert (back.seq, back.flags, back.sport, back.src) == (200, C.RST, 80, data.dst)
    assert (on.seq, on.ack, on.flags, on.dport) == (100, 200, C.RST | C.ACK, 80)
    syn = segment_of(reset(segment_of(frame(flags=C.SYN), 14), True), 14)
    assert (syn.seq, syn.ack, syn.flags) == (0, 101, C.RST | C.ACK)
    for made in (reset(data, True), reset(data, False)):
        assert checksums(made) == (0xFFFF, 0xFFFF)


def test_a_box_of_your_own():
    """A subclass with one method is a middlebox, with events of its own."""

    class Firewall(Middlebox):
        kind = "firewall"

        def handle(self, way, frame, now):
            segment = self.segment(frame)
            if segment is not None and segment.dport == 80:
                return self.drop("port-80", "this firewall closes port 80")
            return [(way, frame)]

    lab = lab_net(D, tcp_syn_retries=1, tcp_syn_linear_timeouts=0)
    lines = []
    lab.net.watch(lambda record: lines.append(record.line()))
    box = lab.link.middlebox(Firewall(), name="wall")
    lab.connected(port=81)
    with pytest.raises(OSError, match="timed out"):
        lab.run(lab.client())
    assert box.stats == {"port-80": 2}
    assert sum("wall in <" in line and "DROPPED box-port-80: this firewall" in line for line in lines) == 2
