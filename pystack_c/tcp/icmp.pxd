cimport cython
from libc.stdint cimport int64_t, uint32_t
cimport pystack_c.const as C
from pystack_c.core cimport Core
from pystack_c.route cimport Dst
from pystack_c.ip.pmtu cimport lower_mtu
from pystack_c.base.seqnum cimport seq_le, seq_lt
from pystack_c.tcp cimport quirks, tell
from pystack_c.tcp.loss cimport undo
from pystack_c.tcp.close cimport fail_connection, finish
from pystack_c.tcp.schedule cimport schedule
from pystack_c.tcp.loss.recovery cimport set_phase
from pystack_c.tcp.queues cimport memory
from pystack_c.tcp.queues.rtxq cimport RtxQueue
from pystack_c.tcp.queues.sentseg cimport SentSegment
from pystack_c.tcp.mss cimport update_mss
from pystack_c.tcp.tcb cimport Tcb
from pystack_c.base.address cimport addr_t

@cython.locals(tcb=Tcb)
cpdef Dst path_of(Core core, addr_t src, addr_t dst, int sport, int dport, uint32_t seq)
@cython.locals(tcb=Tcb, problem=int, hard=bint, opening=bint)
cpdef icmp_error(Core core, int kind, int code, int mtu, addr_t src, addr_t dst, int sport, int dport, uint32_t seq)
@cython.locals(tcb=Tcb)
cpdef neighbor_failed(Core core, int error, addr_t src, addr_t dst, int sport, int dport)
@cython.locals(core=Core)
cpdef fragmentation_needed(Tcb tcb, int mtu)
@cython.locals(q=RtxQueue, item=SentSegment, found=bint)
cpdef send_smaller(Tcb tcb)
@cython.locals(value=int)
cpdef int plateau(int mtu) except? -1
@cython.locals(head=SentSegment)
cpdef syn_was_too_large(Tcb tcb)
