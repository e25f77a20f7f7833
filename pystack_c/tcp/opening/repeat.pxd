cimport cython
from pystack_c.core cimport Core
from pystack_c.tcp.rtotimer cimport set_rto_timer
from pystack_c.tcp.schedule cimport schedule
from pystack_c.tcp.queues.rtxq cimport RtxQueue
from pystack_c.tcp.queues.sentseg cimport SentSegment
from pystack_c.tcp.tcb cimport Tcb
from pystack_c.tcp.timers cimport give_up_after
from pystack_c.tcp.challenge cimport ack_skipped, bad_ack_too_soon

@cython.locals(core=Core, q=RtxQueue, head=SentSegment, last=bint)
cpdef syn_again(Tcb tcb)
