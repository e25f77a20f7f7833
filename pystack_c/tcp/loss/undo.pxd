cimport cython
from libc.stdint cimport int64_t, uint32_t
cimport pystack_c.const as C
from pystack_c.core cimport Core
from pystack_c.counters cimport Counters
from pystack_c.base.seqnum cimport seq_ge, seq_gt, seq_le, seq_lt
from pystack_c.tcp cimport tell
from pystack_c.tcp.loss.rtt cimport backed_off
from pystack_c.tcp.tcb cimport Tcb

cpdef save(Tcb tcb, bint fresh)
cpdef forget(Tcb tcb)
cpdef retransmitted(Tcb tcb, uint32_t end, uint32_t tsval)
cpdef bint dsack_arrived(Tcb tcb) except -1
cpdef bint eifel(Tcb tcb, uint32_t tsecr) except -1
@cython.locals(counters=Counters, old=int64_t, ssthresh=int64_t, timeout=int64_t, core=Core)
cpdef undo(Tcb tcb, str why, str rfc)
