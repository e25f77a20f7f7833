cimport cython
cimport pystack_c.const as C
from libc.stdint cimport int64_t, uint32_t
from pystack_c.config cimport Config
from pystack_c.core cimport Core
from pystack_c.packet cimport Packet
from pystack_c.base.seqnum cimport seq_add
from pystack_c.tcp.opening.tfostate cimport FastOpen
from pystack_c.tcp.queues cimport memory
from pystack_c.tcp cimport tell
from pystack_c.tcp.queues.rtxq cimport RtxQueue
from pystack_c.tcp.queues.sentseg cimport SentSegment, sent_segment
from pystack_c.tcp.tcb cimport Tcb
from pystack_c.base.address cimport addr_bytes, addr_t, key

@cython.final
cdef class Cached:
    cdef public bytes cookie
    cdef public bint exp
    cdef public int mss
    cdef public int try_exp
    cdef public int64_t blocked_until

cpdef FastOpen of(Tcb tcb)
@cython.locals(cache=dict, entry=Cached)
cpdef Cached remember(Core core, addr_t raddr)
@cython.locals(text=str, addresses=bytes)
cpdef bytes make_cookie(Core core, bytes key, addr_t raddr, addr_t laddr)
@cython.locals(cookie=bytes)
cpdef bytes cookie_of(Packet pkt)
@cython.locals(core=Core, bits=int, given=bytes, has_data=bint, cookie=bytes, tfo=FastOpen)
cpdef bint accept_data(Tcb tcb, Tcb listener, Packet pkt) except -1
@cython.locals(n=int64_t, before=uint32_t)
cpdef take_data(Tcb tcb, Packet pkt)
@cython.locals(config=Config, entry=Cached)
cpdef bint may_carry_data(Tcb tcb) except -1
@cython.locals(entry=Cached)
cpdef bytes syn_option(Tcb tcb)
@cython.locals(entry=Cached, mss=int64_t)
cpdef int64_t syn_room(Tcb tcb) except? -1
@cython.locals(room=int64_t, have=int64_t)
cpdef int64_t data_in_syn(Tcb tcb) except? -1
@cython.locals(seg=SentSegment)
cpdef record_data(Tcb tcb, int64_t n)
@cython.locals(core=Core, entry=Cached, cookie=bytes, q=RtxQueue, item=SentSegment)
cpdef answered(Tcb tcb, Packet pkt)
@cython.locals(timeout=int64_t, entry=Cached)
cpdef no_answer(Tcb tcb)
@cython.locals(bits=int)
cpdef wanted_at_listen(Tcb tcb, int backlog)
