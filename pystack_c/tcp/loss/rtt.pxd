cimport cython
from libc.stdint cimport int64_t, uint32_t
cimport pystack_c.const as C
from pystack_c.config cimport Config
from pystack_c.packet cimport Packet
from pystack_c.base.seqnum cimport seq_add, seq_lt
from pystack_c.tcp.tcb cimport Tcb

@cython.locals(config=Config, delta=int64_t, var=int64_t, rto=int64_t, fields=dict, why=str)
cpdef update(Tcb tcb, int64_t sample)
@cython.locals(now=int64_t, elapsed=int64_t, sample=int64_t)
cpdef receiver_sample(Tcb tcb, Packet pkt)
@cython.locals(rto_max=int64_t, shift=int, rto=int64_t)
cpdef int64_t backed_off(Tcb tcb) except? -1
@cython.locals(slop=int64_t)
cdef int64_t _slop(Tcb tcb) except? -1
