cimport cython
from libc.stdint cimport int64_t
from pystack_c.config cimport Config
from pystack_c.core cimport Core
from pystack_c.tcp.tcb cimport Tcb

@cython.locals(core=Core, config=Config, space=int64_t, round_trip=int64_t)
cpdef tune_receive_buffer(Tcb tcb, int64_t n)
