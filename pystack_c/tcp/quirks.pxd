cimport cython
from libc.stdint cimport int64_t, uint32_t
cimport pystack_c.const as C
from pystack_c.base.seqnum cimport seq_add, seq_le
from pystack_c.config cimport Config
from pystack_c.core cimport Core
from pystack_c.packet cimport Packet
from pystack_c.tcp.queues.rtxq cimport RtxQueue
from pystack_c.tcp.tcb cimport Tcb

cpdef int icmp_problem(Core core, int problem, bint hard) except -1
@cython.locals(config=Config)
cpdef bint icmp_ends_opening(Core core, int kind, int code, bint hard) except -1
cpdef bint fast_open_is_opening(Tcb tcb) except -1
cpdef bint icmp_ends_child(Tcb tcb, int kind, int code) except -1
cpdef bint syn_opens(Core core, int flags) except -1
cpdef bint listener_resets(Core core, int flags) except -1
cpdef bint foreign_stamp(Tcb tcb, Packet pkt, uint32_t latest) except -1
@cython.locals(keep=long, end=int)
cpdef keep_crossed_text(Tcb tcb, Packet pkt)
@cython.locals(size=int64_t)
cpdef round_buffer(Tcb tcb)
cpdef bint fin_may_wait(Tcb tcb) except -1
cpdef bint leaves_whole(Tcb tcb, RtxQueue q) except -1
cpdef bint probe_takes_rto(Tcb tcb) except -1
@cython.locals(config=Config)
cpdef bint spreads_response(Tcb tcb) except -1
cpdef int64_t cubic_base(Tcb tcb, int64_t flight) except -1
