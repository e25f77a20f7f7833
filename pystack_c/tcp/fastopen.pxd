cimport cython
from libc.stdint cimport int64_t, uint32_t
from pystack_c.core cimport Core
from pystack_c.packet cimport Packet
from pystack_c.seqnum cimport seq_add
from pystack_c.tcp.rtxq cimport RtxQueue, SentSegment
from pystack_c.tcp.tcb cimport Tcb

cpdef bytes make_cookie(Core core, uint32_t raddr, uint32_t laddr)
@cython.locals(cached=tuple, cookie=bytes, mss=int64_t, blocked_until=int64_t, room=int64_t)
cpdef int64_t data_in_syn(Tcb tcb)
@cython.locals(seg=SentSegment)
cpdef record_data(Tcb tcb, int64_t n)
@cython.locals(core=Core, cache=dict, q=RtxQueue, item=SentSegment)
cpdef answered(Tcb tcb, Packet pkt)
@cython.locals(cache=dict, cached=tuple)
cpdef no_answer(Tcb tcb)
@cython.locals(core=Core, cookie=bytes)
cpdef bint accept_data(Tcb tcb, Tcb listener, Packet pkt)
@cython.locals(n=int64_t)
cpdef take_data(Tcb tcb, Packet pkt)
