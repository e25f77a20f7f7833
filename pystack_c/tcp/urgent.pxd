cimport cython
from libc.stdint cimport int64_t
cimport pystack_c.const as C
from pystack_c.tcp.tcb cimport Tcb
from pystack_c.tcp.urgstate cimport Urgent
from pystack_c.tcp.errors cimport error
from libc.stdint cimport uint32_t
from pystack_c.packet cimport Packet
from pystack_c.base.seqnum cimport seq_add, seq_gt
from pystack_c.tcp cimport tell
from pystack_c.base.seqnum cimport seq_diff
from pystack_c.tcp.queues cimport memory
from pystack_c.tcp.queues.recvbuf cimport RecvBuf

@cython.locals(data=bytes, urg=Urgent)
cpdef bytes recv_urgent(Tcb tcb, int flags)
@cython.locals(left=int64_t)
cpdef int64_t up_to_mark(Tcb tcb, int64_t n) noexcept
@cython.locals(urg=Urgent)
cpdef pass_mark(Tcb tcb, int64_t n)
@cython.locals(up=uint32_t)
cpdef urgent(Tcb tcb, Packet pkt)
@cython.locals(buf=RecvBuf, place=int64_t, urg=Urgent)
cpdef urgent_byte(Tcb tcb)
