cimport cython
from libc.stdint cimport int64_t, uint32_t
from pystack_c.tcp.loss.rtt cimport backed_off
from pystack_c.tcp.tcb cimport Tcb

@cython.locals(fields=dict)
cpdef cwnd(Tcb tcb, int64_t old, int64_t ssthresh, str why, str rfc)
@cython.locals(new=int64_t)
cpdef rto(Tcb tcb, int64_t old, str why, str rfc)
cpdef window(Tcb tcb, int64_t old, str why, str rfc)
@cython.locals(why=str)
cpdef mss(Tcb tcb, int old, int mtu)
@cython.locals(fields=dict)
cpdef mtu_search(Tcb tcb, str action, int size, str why, str rfc)
cpdef fastopen(Tcb tcb, str action, str why, str rfc)
cpdef ecn(Tcb tcb, str action, str why, str rfc)
@cython.locals(both=object, length=int, fields=dict)
cpdef listen(Tcb listener, str queue, str why, str rfc)
cpdef received(Tcb tcb, str kind, uint32_t seq, int64_t length, str why, str rfc)
cpdef soft_error(Tcb tcb, int error, str why, str rfc)
