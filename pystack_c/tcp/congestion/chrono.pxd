cimport cython
from libc.stdint cimport int64_t
cimport pystack_c.const as C
from pystack_c.tcp.tcb cimport Tcb

cpdef switch(Tcb tcb, int kind)
@cython.locals(elapsed=int64_t)
cpdef settle(Tcb tcb)
@cython.locals(limited=bint)
cpdef after_output(Tcb tcb, int64_t unsent, int64_t usable, int64_t room)
