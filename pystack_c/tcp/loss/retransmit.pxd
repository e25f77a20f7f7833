cimport cython
from libc.stdint cimport int64_t, uint32_t
cimport pystack_c.const as C
from pystack_c.core cimport Core
from pystack_c.counters cimport Counters
from pystack_c.base.seqnum cimport seq_add, seq_diff, seq_lt
from pystack_c.tcp cimport hold, mtuprobe
from pystack_c.tcp.loss cimport rack, undo
from pystack_c.tcp.congestion cimport rate
from pystack_c.tcp.queues.rtxq cimport RtxQueue
from pystack_c.tcp.queues.sentseg cimport SentSegment
from pystack_c.tcp.segment cimport send_segment
from pystack_c.tcp.opening.syn cimport send_syn
from pystack_c.tcp.optionroom cimport sack_option_len
from pystack_c.tcp.timestamps cimport ts_now
from pystack_c.tcp.tcb cimport Tcb

@cython.locals(q=RtxQueue, mss=int64_t, i=Py_ssize_t, seg=SentSegment, room=int64_t, head=bint)
cpdef bint retransmit_lost(Tcb tcb) except -1
@cython.locals(core=Core, n=int64_t, flags=int, offset=int64_t)
cpdef resend(Tcb tcb, SentSegment seg, str why, str rfc)
@cython.locals(counters=Counters)
cdef sent_again(Tcb tcb, int error)
cdef bint _cut_anew(Tcb tcb) noexcept
@cython.locals(text=str)
cpdef str recovery_reason(Tcb tcb)
cpdef str recovery_rfc(Tcb tcb)
@cython.locals(core=Core, q=RtxQueue, i=Py_ssize_t, edge=uint32_t, seg=SentSegment, size=int64_t, whole=int64_t)
cpdef bint tail_loss_probe(Tcb tcb) except -1
