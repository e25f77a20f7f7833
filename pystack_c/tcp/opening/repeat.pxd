cimport cython
cimport pystack_c.const as C
from pystack_c.base.seqnum cimport seq_add
from pystack_c.core cimport Core
from pystack_c.packet cimport Packet
from pystack_c.tcp cimport quirks
from pystack_c.tcp.close cimport abort_connection
from pystack_c.tcp.delack cimport ack_now
from pystack_c.tcp.ecn cimport ecn
from pystack_c.tcp.rtotimer cimport set_rto_timer
from pystack_c.tcp.schedule cimport schedule
from pystack_c.tcp.queues.rtxq cimport RtxQueue
from pystack_c.tcp.queues.sentseg cimport SentSegment
from pystack_c.tcp.tcb cimport Tcb
from pystack_c.tcp.timers cimport give_up_after
from pystack_c.tcp.challenge cimport ack_skipped, bad_ack_too_soon

cpdef bint syn_received_syn(Tcb tcb, Packet pkt) except -1
@cython.locals(flags=int)
cdef crossed_syn_ack(Tcb tcb, Packet pkt)
@cython.locals(core=Core, q=RtxQueue, head=SentSegment, last=bint)
cpdef syn_again(Tcb tcb)
cdef _ack_crossed(Tcb tcb)
