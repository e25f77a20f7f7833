cimport cython
from libc.stdint cimport int64_t, uint32_t
cimport pystack_c.const as C
from pystack_c.config cimport Config
from pystack_c.core cimport Core
from pystack_c.ip.output cimport expire_mtu, output, route_output
from pystack_c.packet cimport Outgoing, Packet
from pystack_c.route cimport Dst
from pystack_c.base.seqnum cimport seq_add, seq_diff, seq_gt, seq_max
from pystack_c.tcp.ecn cimport accecn
from pystack_c.tcp.queues.recvbuf cimport RecvBuf
from pystack_c.tcp.queues cimport memory
from pystack_c.tcp cimport tell
from pystack_c.tcp.opening.fastopen cimport syn_option
from pystack_c.tcp.tcb cimport Tcb
from pystack_c.base.timer cimport Timer
from pystack_c.wire.checksum cimport pseudo_sum, sum_any, sum_scratch
from pystack_c.wire.tcp cimport put32, write_fastopen, write_sack, write_syn_options, write_tcp, write_timestamps

@cython.locals(core=Core, route=Dst)
cpdef bint have_route(Tcb tcb)
@cython.locals(route=Dst)
cpdef int headers(Tcb tcb) except -1
@cython.locals(config=Config, mss=int)
cpdef int local_mss(Tcb tcb)
cpdef int path_mtu(Tcb tcb) except -1
@cython.locals(mode=int)
cpdef int fragmenting(Tcb tcb) except -1
@cython.locals(mtu=int, mss=int, old=int64_t)
cpdef update_mss(Tcb tcb)
@cython.locals(free=int64_t, limit=int64_t)
cpdef int64_t free_space(Tcb tcb) noexcept
@cython.locals(window=int64_t)
cpdef int64_t opening_window(Tcb tcb)
@cython.locals(buf=RecvBuf, free=int64_t, edge=uint32_t, step=int64_t, window=int64_t, unit=int64_t, rounded=int64_t)
cpdef int64_t select_window(Tcb tcb)
cdef count_zero_window(Tcb tcb, int64_t window)
cpdef uint32_t ts_now(Tcb tcb) noexcept
@cython.locals(most=int)
cpdef int most_blocks(Tcb tcb, bint data)
@cython.locals(count=int, most=int)
cpdef int sack_blocks(Tcb tcb, bint data)
@cython.locals(count=int)
cpdef int sack_option_len(Tcb tcb)
@cython.locals(blocks=int, room=int)
cpdef int accecn_option(Tcb tcb, bint data) except -100
@cython.locals(room=int)
cpdef int blocks_beside(Tcb tcb, int blocks, int chosen)
@cython.locals(blocks=int, chosen=int, n=int)
cpdef int new_data_options(Tcb tcb) except -100
cpdef int ecn_flags(Tcb tcb, int flags, int64_t length, bint sacks) except -100
@cython.locals(core=Core, scratch=bytearray, hlen=int, count=int, pieces=int, blocks=list, chosen=int, window=int64_t, urg=int, ahead=int64_t, tos=int, payload=object, fields=dict)
cpdef int send_segment(Tcb tcb, uint32_t seq, int flags, int64_t offset, int64_t length, int gso_size, str reason, str rfc)
cpdef ack_was_sent(Tcb tcb, int count)
@cython.locals(core=Core, config=Config, answer=bint, ts=bint, sack=bint, scale=bint, mss=int, o=int, wscale=int, hlen=int, window=int64_t, flags=int, fields=dict, cookie=bytes, payload=object)
cpdef int send_syn(Tcb tcb, str reason, str rfc, int64_t length)
@cython.locals(core=Core, route=Dst, acc=uint32_t, csum_offset=int, out=Outgoing, error=int)
cpdef int hand_to_ip(Tcb tcb, int hlen, object payload, int64_t length, int gso_size, int tos)
cpdef use_options(Tcb tcb, object options)
@cython.locals(asked=bytes, why=str, fields=dict)
cpdef received_route(Tcb tcb, Packet pkt)
@cython.locals(ttl=int, tos=int, owner=Tcb, item=object)
cpdef send_reset(Core core, uint32_t src, uint32_t dst, int sport, int dport, uint32_t seq, uint32_t ack, int flags, str reason, str rfc)
@cython.locals(route=Dst, acc=uint32_t, fields=dict, out=Outgoing)
cpdef reset_segment(Core core, uint32_t src, uint32_t dst, int sport, int dport, uint32_t seq, uint32_t ack, int hlen, int flags, int ttl, int tos, str reason, str rfc, object options)
@cython.locals(core=Core, hlen=int, flags=int, seq=uint32_t, ack=uint32_t, ttl=int, tos=int)
cpdef reset_connection(Tcb tcb, str reason, str rfc)
@cython.locals(mode=int, flags=int, again=int)
cpdef int syn_ecn(Tcb tcb) except -1
cpdef int syn_ack_ecn(Tcb tcb) except -1
@cython.locals(chosen=int, scratch=bytearray, end=Py_ssize_t, at=Py_ssize_t, rest=bytes, n=int)
cpdef int syn_ack_option(Tcb tcb, int hlen) except -1
