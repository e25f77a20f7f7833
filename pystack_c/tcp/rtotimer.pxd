cimport cython
from libc.stdint cimport int64_t
cimport pystack_c.const as C
from pystack_c.core cimport Core
from pystack_c.tcp cimport quirks
from pystack_c.tcp.loss.rack cimport probe_timeout
from pystack_c.tcp.loss.rtt cimport backed_off
from pystack_c.tcp.tcb cimport Tcb
from pystack_c.base.timer cimport Timer, new_timer

@cython.locals(core=Core, pto=int64_t, why=str)
cpdef set_rto_timer(Tcb tcb, int64_t deadline)
@cython.locals(core=Core, why=str)
cpdef set_rto_alone(Tcb tcb, int64_t deadline)
@cython.locals(timer=Timer)
cpdef take_rto_timer(Tcb tcb, int kind)
@cython.locals(text=str)
cpdef str explain_rto(Tcb tcb, int64_t left)
@cython.locals(timer=Timer, armed=bint)
cpdef arm_retransmit(Tcb tcb, bint sent_now)
@cython.locals(core=Core, wait=int64_t)
cpdef set_persist_timer(Tcb tcb)
