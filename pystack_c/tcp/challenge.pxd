cimport cython
cimport pystack_c.const as C
from pystack_c.core cimport Core
from pystack_c.counters cimport Counters
from pystack_c.tcp.delack cimport ack_now
from pystack_c.tcp.tcb cimport Tcb

cpdef bad_segment_ack(Tcb tcb, str why, bint paws)
@cython.locals(core=Core)
cpdef bint bad_ack_too_soon(Tcb tcb) except -1
@cython.locals(counters=Counters)
cpdef ack_skipped(Tcb tcb, bint paws)
@cython.locals(core=Core)
cpdef challenge_ack(Tcb tcb, str why, str rfc)
