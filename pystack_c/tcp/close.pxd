cimport cython
from libc.stdint cimport int64_t
cimport pystack_c.const as C
from pystack_c.core cimport Core
from pystack_c.tcp.queues cimport memory
from pystack_c.tcp cimport tell
from pystack_c.tcp.reset cimport reset_connection
from pystack_c.tcp.state cimport set_state
from pystack_c.tcp.tables cimport TcpTables
from pystack_c.tcp.tcb cimport Tcb
from pystack_c.base.timer cimport Timer, new_timer

@cython.locals(core=Core)
cpdef stop_timers(Tcb tcb, str why, str rfc)
@cython.locals(core=Core, tables=TcpTables)
cpdef enter_time_wait(Tcb tcb, str why, str rfc)
cpdef bint await_fin(Tcb tcb) except -1
cdef slim(Tcb tcb)
@cython.locals(core=Core, why=str, rfc=str)
cpdef start_wait(Tcb tcb, int kind, int64_t wait)
@cython.locals(core=Core, tables=TcpTables)
cpdef finish(Tcb tcb, str why, str rfc)
cpdef fail_connection(Tcb tcb, int error, str why, str rfc)
@cython.locals(state=int)
cpdef abort_connection(Tcb tcb, int error, str why, str rfc)
@cython.locals(error=int)
cpdef timed_out(Tcb tcb, str why, str rfc)
