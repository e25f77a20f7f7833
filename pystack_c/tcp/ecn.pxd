cimport cython
from libc.stdint cimport int64_t
cimport pystack_c.const as C
from pystack_c.packet cimport Packet
from pystack_c.seqnum cimport seq_ge
from pystack_c.tcp cimport tell
from pystack_c.tcp.tcb cimport Tcb

@cython.locals(mode=int, bits=int)
cpdef syn_received(Tcb tcb, Packet pkt)
cpdef segment_received(Tcb tcb, Packet pkt)
@cython.locals(old=int64_t, ssthresh=int64_t)
cpdef ack_received(Tcb tcb, Packet pkt)
