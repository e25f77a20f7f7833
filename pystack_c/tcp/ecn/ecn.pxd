cimport cython
from libc.stdint cimport int64_t, uint32_t
cimport pystack_c.const as C
from pystack_c.config cimport Config
from pystack_c.packet cimport Packet
from pystack_c.base.seqnum cimport seq_gt
from pystack_c.tcp.ecn cimport accecn
from pystack_c.tcp cimport quirks, tell
from pystack_c.tcp.tcb cimport Tcb

@cython.locals(mode=int, code=int)
cpdef syn_received(Tcb tcb, Packet pkt)
@cython.locals(why=str)
cdef _syn_ack(Tcb tcb, Packet pkt, int code)
@cython.locals(codepoint=int)
cpdef syn_ack_marks(Tcb tcb, Packet pkt)
@cython.locals(code=int)
cpdef bint another_syn(Tcb tcb, Packet pkt) except -1
@cython.locals(code=int)
cpdef third_ack(Tcb tcb, Packet pkt)
cpdef cookie_returned(Tcb tcb, Packet pkt)
cpdef established(Tcb tcb)
cpdef segment_received(Tcb tcb, Packet pkt)
cpdef ack_received(Tcb tcb, Packet pkt)
@cython.locals(marked=int64_t, delta=int64_t)
cpdef feedback(Tcb tcb, Packet pkt, int64_t newly, bint progress)
cpdef bint may_respond(Tcb tcb, uint32_t ack) noexcept
@cython.locals(old=int64_t, ssthresh=int64_t)
cpdef respond(Tcb tcb, str why, str rfc)
@cython.locals(fields=dict)
cdef begin_cwr(Tcb tcb, str why)
