cimport cython
from libc.stdint cimport int64_t, uint32_t
cimport pystack_c.const as C
from pystack_c.core cimport Core
from pystack_c.packet cimport Packet
from pystack_c.base.seqnum cimport seq_add, seq_diff, seq_ge, seq_gt, seq_le, seq_lt
from pystack_c.tcp.ecn cimport accecn
from pystack_c.tcp.queues cimport memory
from pystack_c.tcp.loss cimport rtt
from pystack_c.tcp cimport quirks, tell
from pystack_c.tcp.close cimport enter_time_wait, start_wait
from pystack_c.tcp.queues.recvbuf cimport RecvBuf
from pystack_c.tcp.state cimport set_state
from pystack_c.tcp.tcb cimport Tcb
from pystack_c.tcp.delack cimport ack_now, ack_policy, answering, delay_ack
from pystack_c.tcp.urgent cimport urgent_byte

@cython.locals(seq=uint32_t, begin=Py_ssize_t, end=Py_ssize_t, seen=Py_ssize_t, old=int64_t, over=int64_t, core=Core)
cpdef segment_text(Tcb tcb, Packet pkt)
cpdef duplicate_text(Tcb tcb, uint32_t left, uint32_t right)
cpdef option_may_be_blocked(Tcb tcb)
@cython.locals(buf=RecvBuf, before=uint32_t, was_empty=bint, filled=bint, n=int64_t)
cpdef in_order(Tcb tcb, Packet pkt, Py_ssize_t begin, Py_ssize_t end)
@cython.locals(buf=RecvBuf, core=Core, why=str, right=uint32_t)
cpdef out_of_order(Tcb tcb, Packet pkt, uint32_t seq, Py_ssize_t begin, Py_ssize_t end)
@cython.locals(block=tuple, left=uint32_t, right=uint32_t, rest=list, old=tuple)
cpdef note_sack(Tcb tcb, uint32_t seq)
@cython.locals(rest=list)
cpdef forget_sacks(Tcb tcb)
@cython.locals(seq=uint32_t, state=int)
cpdef segment_fin(Tcb tcb, Packet pkt)
cpdef fin_again(Tcb tcb)
