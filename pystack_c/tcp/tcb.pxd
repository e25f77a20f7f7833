cimport cython
from libc.stdint cimport int64_t, uint32_t
cimport pystack_c.const as C
from pystack_c.endpoint cimport Endpoint
from pystack_c.route cimport Dst
from pystack_c.seqnum cimport seq_diff
from pystack_c.tcp.recvbuf cimport RecvBuf
from pystack_c.tcp.rtxq cimport RtxQueue
from pystack_c.tcp.sendbuf cimport SendBuf
from pystack_c.timer cimport Timer

@cython.final
cdef class Tcb(Endpoint):
    cdef public int state
    cdef public object listener
    cdef public object parent
    cdef public bint passive
    cdef public bint detached
    cdef public bint output_queued
    cdef public bint registered
    cdef public Dst route
    cdef public object key
    cdef public uint32_t iss
    cdef public uint32_t snd_una
    cdef public uint32_t snd_nxt
    cdef public int64_t snd_wnd
    cdef public uint32_t snd_wl1
    cdef public uint32_t snd_wl2
    cdef public uint32_t snd_up
    cdef public int64_t max_window
    cdef public uint32_t snd_sml
    cdef public uint32_t irs
    cdef public uint32_t rcv_nxt
    cdef public uint32_t rcv_adv
    cdef public uint32_t rcv_up
    cdef public int mss
    cdef public int peer_mss
    cdef public int user_mss
    cdef public int rcv_mss
    cdef public int snd_wscale
    cdef public int rcv_wscale
    cdef public bint wscale_ok
    cdef public bint sack_ok
    cdef public bint ts_ok
    cdef public uint32_t ts_recent
    cdef public int64_t ts_recent_stamp
    cdef public uint32_t ts_offset
    cdef public SendBuf sendbuf
    cdef public RecvBuf recvbuf
    cdef public int64_t sndbuf_size
    cdef public RtxQueue rtxq
    cdef public bint fin_pending
    cdef public bint fin_sent
    cdef public uint32_t fin_seq
    cdef public bint fin_received
    cdef public bint shut_rd
    cdef public bint shut_wr
    cdef public bint was_reset
    cdef public bint ack_now
    cdef public str ack_reason
    cdef public uint32_t last_ack_sent
    cdef public int quickack
    cdef public bint pingpong
    cdef public list sacks
    cdef public tuple dsack
    cdef public int64_t last_bad_ack
    cdef public int64_t srtt
    cdef public int64_t rttvar
    cdef public int64_t rto
    cdef public int backoff
    cdef public int64_t min_rtt
    cdef public object cc
    cdef public int64_t cwnd
    cdef public int64_t ssthresh
    cdef public bint cwnd_limited
    cdef public int ca_state
    cdef public uint32_t recover
    cdef public int dupacks
    cdef public int64_t reno_sacked
    cdef public bint force_retransmit
    cdef public bint fin_expected
    cdef public uint32_t fin_expected_seq
    cdef public Timer rto_timer
    cdef public Timer delack_timer
    cdef public Timer wait_timer
    cdef public Timer keep_timer
    cdef public int retries
    cdef public int64_t retry_start
    cdef public int probes
    cdef public int64_t last_recv
    cdef public int64_t last_send
    cdef public bint nodelay
    cdef public bint cork
    cdef public bint more
    cdef public bint keepalive
    cdef public int64_t keepidle
    cdef public int64_t keepintvl
    cdef public int keepcnt
    cdef public int64_t user_timeout
    cdef public int syn_retries
    cdef public int64_t linger
    cdef public bint push_now
    cdef public bint time_waiting
    cdef public int keep_probes
    cdef public str congestion
    cdef public bint oobinline
    cdef public int rcvlowat
    cdef public int64_t segs_in
    cdef public int64_t segs_out
    cdef public int64_t data_segs_in
    cdef public int64_t data_segs_out
    cdef public int64_t bytes_received
    cdef public int64_t bytes_acked
    cdef public int64_t bytes_sent
    cdef public int64_t bytes_retrans
    cdef public int64_t total_retrans
    cdef public int soft_error
    @cython.locals(q=RtxQueue, sacked=int64_t, pipe=int64_t)
    cpdef int64_t in_flight(self) noexcept
    @cython.locals(wnd=int64_t)
    cpdef int64_t rcv_wnd(self) noexcept
    cpdef int64_t unsent(self) noexcept
    @cython.locals(n=int64_t, head=int64_t)
    cpdef int64_t send_offset(self) noexcept
    @cython.locals(used=int64_t)
    cpdef int64_t send_space(self) noexcept
    @cython.locals(name=str)
    @cython.locals(result=dict)
    cpdef dict snapshot(self)

cpdef str ip_text(uint32_t addr)
