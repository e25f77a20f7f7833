cimport cython
from libc.stdint cimport uint32_t
cimport pystack_c.const as C
from pystack_c.tcp.tcb cimport Tcb
from pystack_c.counters cimport Counters
from pystack_c.packet cimport Packet
from pystack_c.base.seqnum cimport seq_le, seq_lt
from pystack_c.wire.tcp cimport segment_len

cdef extern from *:
    """
    /* Each segment with timestamps needs the clock twice. Outside this module it is a macro, as in seqnum.pxd. */
    #ifndef __PYX_HAVE__pystack_c__tcp__timestamps
    #define __pyx_f_9pystack_c_3tcp_10timestamps_ts_now(tcb, skip) \\
        ((uint32_t) ((tcb)->__pyx_base.core->now / 1000000) + (tcb)->ts_offset)
    #endif
    """

cpdef uint32_t ts_now(Tcb tcb) noexcept
cpdef bint newer_stamp(Tcb tcb, Packet pkt) except -1
cpdef bint paws_reject(Tcb tcb, Packet pkt) except -1
@cython.locals(counters=Counters)
cpdef count_paws(Tcb tcb, Packet pkt)
cpdef note_timestamp(Tcb tcb, Packet pkt)
