"""tcp_info: each field means what Linux's does; each number moves with its cause, and stays where the cause is absent."""

import struct

import pytest

from pystack.sim.programs import stream
from pystack.sockets import sockopt as _sockopt
from pystack.sockets.sockopt import pack_tcp_info
from pystack.testing.lab import B, lab_net, pattern
from pystack.testing.peer import MS, SACK_OK, Peer, S, mss_option, sack_option, ts_option
from pystack.testing.segments import ACK, SYN
from pystack_c.tcp import user
from pystack_c.tcp.info import tcp_info

MSS = 1460
OPTIONS = mss_option(MSS) + SACK_OK


def info(conn, name):
    return tcp_info(conn.tcb, conn.peer.now)["tcpi_" + name]


def sender(make, size=20 * MSS, **settings):
    """A connection with SACK, 100 ms to the peer, and `size` bytes written."""
    conn = make(**settings).established(options=OPTIONS, window=65535)
    if size:
        conn.send(bytes(size))
    return conn


def test_segments_out_lost_sacked_and_sent_again(make):
    conn = sender(make)
    names = ("unacked", "sacked", "lost", "retrans")
    assert [info(conn, n) for n in names] == [10, 0, 0, 0]
    conn.peer.advance(50 * MS)
    for n in range(2, 6):
        conn.rx(options=sack_option((conn.ack + MSS, conn.ack + n * MSS)))
    assert [info(conn, n) for n in names][1:] == [4, 1, 1]
    assert info(conn, "total_retrans") == 1 and info(conn, "bytes_retrans") == MSS
    assert info(conn, "fackets") == 0


def test_bytes_sent_counts_what_was_sent_again_too(make):
    conn = sender(make, 3 * MSS)
    assert info(conn, "bytes_sent") == 3 * MSS and info(conn, "data_segs_out") == 3
    conn.peer.advance(300 * MS)
    again = info(conn, "bytes_retrans") // MSS
    assert again >= 1 and info(conn, "bytes_sent") == (3 + again) * MSS
    assert info(conn, "data_segs_out") == 3 + again


def test_delivered_counts_segments_and_the_syn(make):
    conn = sender(make, 4 * MSS)
    assert info(conn, "delivered") == 1  # our SYN-ACK
    conn.has(3 * MSS)
    conn.rx()
    assert info(conn, "delivered") == 4
    conn.rx(options=sack_option((conn.ack + 0, conn.ack + MSS)))
    assert info(conn, "delivered") == 5  # SACKed is delivered
    conn.has(MSS)
    conn.rx()
    assert info(conn, "delivered") == 5  # and not once more


def test_offload_counts_the_segments_on_the_wire():
    numbers = []
    for offload in (False, True):
        lab = lab_net(5 * MS, offload=offload)
        client, server = lab.connected()
        lab.upload(pattern(500_000), client, server)
        lab.net.run(lab.net.now + S)
        told = client.info()
        numbers.append([told["tcpi_" + n] for n in ("delivered", "data_segs_out", "segs_out", "bytes_sent")])
        assert told["tcpi_delivered"] == 1 + 343  # 500,000 / 1460, and the SYN
    assert numbers[0] == numbers[1]


@pytest.mark.parametrize("marked", [True, False])
def test_delivered_ce_are_those_whose_ack_echoes_a_mark(make, marked):
    conn = make(tcp_ecn=1).established(active=False, options=OPTIONS)
    conn.tcb.ecn_ok = True
    conn.send(bytes(4 * MSS))
    conn.has(2 * MSS)
    conn.rx(ACK | (0x40 if marked else 0))
    assert info(conn, "delivered_ce") == (2 if marked else 0)


def test_reordering_is_seen_and_measured(make):
    conn = sender(make)
    conn.tcb.min_rtt = conn.tcb.srtt = 50 * MS  # (there is time to be late in)
    conn.peer.advance(50 * MS)
    assert (info(conn, "reordering"), info(conn, "reord_seen")) == (3, 0)
    conn.rx(options=sack_option((conn.ack + MSS, conn.ack + 3 * MSS)))
    assert info(conn, "reord_seen") == 0  # one is missing: late, or lost?
    conn.has(3 * MSS)
    conn.rx()  # late
    assert (info(conn, "reordering"), info(conn, "reord_seen")) == (3, 1)
    conn.rx(options=sack_option((conn.ack + MSS, conn.ack + 2 * MSS)))
    conn.rx(options=sack_option((conn.ack + 6 * MSS, conn.ack + 7 * MSS), (conn.ack + MSS, conn.ack + 2 * MSS)))
    conn.rx(options=sack_option((conn.ack + 5 * MSS, conn.ack + 7 * MSS), (conn.ack + MSS, conn.ack + 2 * MSS)))
    assert info(conn, "reord_seen") == 2


def test_a_real_loss_is_no_reordering(make):
    conn = sender(make)
    conn.peer.advance(50 * MS)
    for n in range(2, 6):
        conn.rx(options=sack_option((conn.ack + MSS, conn.ack + n * MSS)))
    conn.peer.advance(50 * MS)
    conn.has(5 * MSS)
    conn.rx()  # the retransmission filled it
    assert info(conn, "reord_seen") == 0 and info(conn, "total_retrans") == 1


def test_dsack_dups(make):
    conn = sender(make, 4 * MSS)
    conn.has(2 * MSS)
    conn.rx()
    assert info(conn, "dsack_dups") == 0
    conn.rx(options=sack_option((conn.ack - 2 * MSS, conn.ack)))
    assert info(conn, "dsack_dups") == 2


def test_out_of_order_segments_received(make):
    conn = sender(make, 0)
    conn.rx(data=b"ab")
    assert info(conn, "rcv_ooopack") == 0
    conn.rx(data=b"ef", seq=2)
    conn.rx(data=b"gh", seq=4)
    assert (info(conn, "rcv_ooopack"), info(conn, "data_segs_in")) == (2, 3)
    assert info(conn, "segs_in") == 4  # and the ACK of the handshake (its SYN went to the listener)


def test_windows_and_what_waits(make):
    conn = sender(make, 20 * MSS)
    assert info(conn, "notsent_bytes") == 10 * MSS
    conn.has(MSS)
    conn.rx(window=30_000)
    assert info(conn, "snd_wnd") == 30_000
    conn.set(1, 8, 65535)
    before = info(conn, "rcv_wnd")
    conn.rx(data=bytes(1000))
    conn.peer.advance(50 * MS)
    assert info(conn, "rcv_wnd") == before - 1000
    conn.recv()
    assert info(conn, "rcv_ssthresh") == 0xFFFF  # no window scale: no window is larger


def test_window_limited_time(make):
    conn = sender(make, 0)
    conn.window = 2 * MSS
    conn.rx()
    conn.send(bytes(4 * MSS))
    conn.peer.advance(30 * MS)
    assert (info(conn, "rwnd_limited"), info(conn, "busy_time")) == (30_000, 30_000)
    conn.has(2 * MSS)
    conn.rx(window=65535)  # the rest goes
    conn.peer.advance(20 * MS)
    assert (info(conn, "rwnd_limited"), info(conn, "busy_time")) == (30_000, 50_000)
    conn.has(2 * MSS)
    conn.rx()
    conn.peer.advance(S)  # nothing to send: neither grows
    assert (info(conn, "rwnd_limited"), info(conn, "busy_time")) == (30_000, 50_000)


def test_a_closed_window_is_window_limited(make):
    conn = sender(make, 0)
    conn.window = 0
    conn.rx()
    conn.send(bytes(MSS))
    conn.peer.advance(100 * MS)
    assert info(conn, "rwnd_limited") == 100_000


@pytest.mark.parametrize(("sndbuf", "limited"), [(4 * MSS, 50_000), (1 << 20, 0)])
def test_send_buffer_limited_time(make, sndbuf, limited):
    conn = sender(make, 0)
    conn.set(1, 7, sndbuf)
    assert conn.peer.call(user.send, conn.tcb, bytes(8 * MSS), 0) == min(8 * MSS, conn.tcb.sndbuf_size)
    conn.tcb.core.config.tcp_init_cwnd = 10
    conn.peer.drain()
    conn.peer.advance(50 * MS)
    assert info(conn, "sndbuf_limited") == (limited if conn.tcb.sndbuf_size < 8 * MSS else 0)
    assert info(conn, "busy_time") == 50_000


def test_cwnd_limited_is_neither(make):
    conn = sender(make, 20 * MSS)  # ten go, ten wait for cwnd
    conn.peer.advance(50 * MS)
    assert (info(conn, "rwnd_limited"), info(conn, "sndbuf_limited"), info(conn, "busy_time")) == (0, 0, 50_000)


def test_timeouts_and_the_time_they_cost(make):
    conn = sender(make, MSS, tcp_tlp=False)
    names = ("total_rto", "total_rto_recoveries", "total_rto_time")
    assert [info(conn, n) for n in names] == [0, 0, 0]
    rto = conn.tcb.rto
    conn.peer.advance(3 * rto)  # at 1 and 3
    conn.peer.advance(100 * MS)
    assert [info(conn, n) for n in names] == [2, 1, (2 * rto + 100 * MS) // MS]
    conn.has(MSS)
    conn.rx()
    conn.peer.advance(S)  # over: the time stands still
    assert [info(conn, n) for n in names] == [2, 1, (2 * rto + 100 * MS) // MS]
    conn.send(bytes(MSS))
    conn.peer.advance(conn.tcb.rto << conn.tcb.backoff)
    assert [info(conn, n) for n in names[:2]] == [3, 2]


def test_timeouts_of_the_syn_count():
    peer = Peer()
    tcb, syn = peer.connecting()
    peer.advance(1500 * MS)
    peer.segment(SYN | ACK, 1, syn.end, syn.dport, syn.sport)
    told = tcp_info(tcb, peer.now)
    assert [told["tcpi_total_" + n] for n in ("rto", "rto_recoveries", "rto_time", "retrans")] == [1, 1, 500, 1]


def test_times_since(make):
    conn = sender(make, MSS)
    conn.peer.advance(20 * MS)
    conn.has(MSS)
    conn.rx()
    conn.peer.advance(30 * MS)
    conn.rx(data=b"x")
    conn.peer.advance(7 * MS)
    names = ("last_data_sent", "last_data_recv", "last_ack_recv", "last_ack_sent")
    assert [info(conn, n) for n in names] == [57, 7, 7, 0]


def test_rates():
    # 10 Mbit/s: what the link carries of each 1514 bytes is 1460 payload
    lab = lab_net(10 * MS, link={"rate": 10_000_000, "queue": 100})
    client, server = lab.connected()
    assert client.info()["tcpi_delivery_rate"] == 0
    lab.upload(bytes(1_000_000), client, server)
    told = client.info()
    assert told["tcpi_delivery_rate"] == pytest.approx(10_000_000 / 8 * 1460 / 1514, rel=0.02)
    assert told["tcpi_min_rtt"] == pytest.approx(20_000, rel=0.1)
    assert told["tcpi_pacing_rate"] == told["tcpi_max_pacing_rate"] == 2**64 - 1  # Reno does not pace
    client.setsockopt(1, 47, 500_000)  # SO_MAX_PACING_RATE
    assert client.info()["tcpi_pacing_rate"] == client.info()["tcpi_max_pacing_rate"] == 500_000


@pytest.mark.parametrize(("size", "limited"), [(MSS, 1), (1_000_000, 0)])
def test_app_limited_rates_are_marked(size, limited):
    lab = lab_net(10 * MS, link={"rate": 10_000_000, "queue": 100})
    client, server = lab.connected()
    lab.upload(bytes(size), client, server)
    lab.net.run(lab.net.now + S)
    if not limited:  # (the last flight of a transfer is app-limited: a smaller rate does not replace a good one)
        assert client.info()["tcpi_delivery_rate"] > 900_000
    assert client.info()["tcpi_delivery_rate_app_limited"] == limited


@pytest.mark.parametrize("timestamps", [True, False])
def test_the_receivers_round_trip_and_what_it_reads_in_one(timestamps):
    lab = lab_net(20 * MS, tcp_timestamps=timestamps, server={"tcp_rmem": 60_000})
    client, server = lab.connected()
    assert server.info()["tcpi_rcv_rtt"] == 0
    lab.upload(bytes(2_000_000), client, server)
    told = server.info()
    assert 40_000 <= told["tcpi_rcv_rtt"] <= 60_000
    assert 55_000 <= told["tcpi_rcv_space"] <= 130_000  # one window a round trip, looked at after one or two
    assert client.info()["tcpi_rcv_rtt"] == 0  # it received nothing


def test_min_rtt_forgets_after_its_window(make):
    conn = sender(make, 0, tcp_min_rtt_wlen=60 * S)
    for wait in (20, 50):
        conn.send(b"x")
        conn.peer.advance(wait * MS)
        conn.has(1)
        conn.rx()
    assert info(conn, "min_rtt") < 50_000
    conn.peer.advance(61 * S)
    conn.send(b"x")
    conn.peer.advance(50 * MS)
    conn.has(1)
    conn.rx()
    assert info(conn, "min_rtt") == 50_000


def test_options_and_mss():
    peer = Peer(tcp_timestamps=True)
    conn = peer.established(options=mss_option(1000) + SACK_OK + ts_option(1))
    conn.ts = (2, 0)
    assert info(conn, "options") == 1 | 2
    assert (info(conn, "snd_mss"), info(conn, "advmss"), info(conn, "pmtu")) == (988, 1448, 1500)
    plain = Peer().established()
    assert info(plain, "options") == 0 and info(plain, "advmss") == 1460
    assert info(plain, "snd_ssthresh") == 0x7FFFFFFF


def test_a_listener_tells_its_queue():
    peer = Peer()
    listener = peer.listener(backlog=7)
    peer.segment(SYN, 100)
    peer.segment(ACK, 101, peer.stack.tcp.all()[-1].snd_nxt)
    told = tcp_info(listener, peer.now)
    assert (told["tcpi_unacked"], told["tcpi_sacked"], told["tcpi_state"]) == (1, 7, 10)


# struct tcp_info

LAYOUT = "=6B B B 4I 5I 4I 8I 2I I 4Q 2I 4I 4Q 2I 2Q 2I I I I I 2H I 7I 2H"  # linux/tcp.h of 6.18


def test_the_struct_has_linuxs_layout(make):
    conn = sender(make)
    told = tcp_info(conn.tcb, conn.peer.now)
    raw = pack_tcp_info(told)
    assert len(raw) == struct.calcsize(LAYOUT) == 280
    values = struct.unpack(LAYOUT, raw)
    assert values[0] == 1 and values[8] == told["tcpi_rto"]
    at = {"unacked": 24, "total_retrans": 100, "bytes_acked": 120, "notsent_bytes": 144, "delivery_rate": 160}
    at |= {
        "busy_time": 168,
        "delivered": 192,
        "bytes_sent": 200,
        "snd_wnd": 228,
        "total_rto": 240,
        "total_rto_time": 244,
    }
    for name, offset in at.items():
        size = (
            8
            if name in ("bytes_acked", "delivery_rate", "busy_time", "bytes_sent")
            else 2
            if name == "total_rto"
            else 4
        )
        assert int.from_bytes(raw[offset : offset + size], "little") == told["tcpi_" + name], name


def test_wscale_app_limited_and_fast_open_share_two_bytes():
    raw = pack_tcp_info({"snd_wscale": 7, "rcv_wscale": 9, "delivery_rate_app_limited": 1, "fastopen_client_fail": 2})
    assert raw[6] == 0x97 and raw[7] == 1 | 2 << 1


def test_every_field_of_the_struct_is_told(make):
    conn = sender(make)
    told = set(tcp_info(conn.tcb, conn.peer.now))
    named = {"tcpi_" + n for n in (*_sockopt._TCP_INFO_U8[:6], *_sockopt._TCP_INFO_U32)}
    named |= {"tcpi_" + n for _, names in _sockopt._TCP_INFO_REST for n in names.split()}
    named |= {f"tcpi_{n}" for n in ("snd_wscale", "rcv_wscale", "delivery_rate_app_limited", "fastopen_client_fail")}
    assert told - {"tcpi_state_name"} == named


def test_fast_open_says_why_it_failed():
    lab = lab_net(10 * MS, tcp_fastopen=3)
    listener = lab.listener()
    listener.setsockopt(6, 23, 5)

    def serve():
        while True:
            sock = yield listener.accept()
            yield sock.recv(10)

    def dial():
        sock = stream(lab.a)
        sock.setsockopt(6, 30, 1)
        yield sock.connect(B, 80)
        yield sock.sendall(b"hello")
        return sock

    lab.spawn(serve())
    (first,) = lab.run(dial())
    assert first.info()["tcpi_fastopen_client_fail"] == 1  # no cookie yet
    (second,) = lab.run(dial())
    lab.net.run(lab.net.now + S)
    assert second.info()["tcpi_fastopen_client_fail"] == 0 and second.info()["tcpi_options"] & 32
