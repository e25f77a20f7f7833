cimport cython
from libc.stdint cimport int64_t
cimport pystack_c.const as C
from pystack_c.core cimport Core
from pystack_c.base.seqnum cimport seq_diff
from pystack_c.tcp.schedule cimport schedule
from pystack_c.tcp.tcb cimport Tcb
from pystack_c.base.timer cimport Timer, new_timer

cpdef ack_now(Tcb tcb, str why, str rfc)
cpdef bint answering(Tcb tcb) except -1
@cython.locals(core=Core, why=str)
cpdef ack_policy(Tcb tcb)
@cython.locals(timer=Timer)
cdef bint _second_segment(Tcb tcb) except -1
@cython.locals(core=Core, timer=Timer, deadline=int64_t, why=str)
cpdef delay_ack(Tcb tcb)
