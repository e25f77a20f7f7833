cimport cython
cimport pystack_c.const as C
from pystack_c.packet cimport Packet
from pystack_c.base.seqnum cimport seq_gt
from pystack_c.tcp cimport quirks
from pystack_c.tcp.data cimport fin_again
from pystack_c.tcp.delack cimport ack_now
from pystack_c.tcp.opening.listen cimport listen_state
from pystack_c.tcp.tcb cimport Tcb

@cython.locals(flags=int)
cpdef bint time_wait(Tcb tcb, Packet pkt) except -1
@cython.locals(newer=bint, listener=Tcb)
cpdef bint reopen(Tcb tcb, Packet pkt) except -1
@cython.locals(flags=int)
cpdef time_wait_answer(Tcb tcb, Packet pkt)
