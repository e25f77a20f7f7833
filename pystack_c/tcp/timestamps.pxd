cimport cython
from libc.stdint cimport uint32_t
cimport pystack_c.const as C
from pystack_c.tcp.tcb cimport Tcb
from pystack_c.counters cimport Counters
from pystack_c.packet cimport Packet
from pystack_c.base.seqnum cimport seq_le, seq_lt
from pystack_c.wire.tcp cimport segment_len

cpdef uint32_t ts_now(Tcb tcb) noexcept
cpdef bint newer_stamp(Tcb tcb, Packet pkt) except -1
cpdef bint paws_reject(Tcb tcb, Packet pkt) except -1
@cython.locals(counters=Counters)
cpdef count_paws(Tcb tcb, Packet pkt)
cpdef note_timestamp(Tcb tcb, Packet pkt)
