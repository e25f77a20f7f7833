cimport cython
from libc.stdint cimport int64_t
from pystack_c.config cimport Config
from pystack_c.tcp.tcb cimport Tcb

@cython.locals(config=Config, delta=int64_t, var=int64_t, rto=int64_t, fields=dict, why=str)
cpdef update(Tcb tcb, int64_t sample)
