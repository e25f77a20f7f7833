cimport cython
from libc.stdint cimport int64_t, uint32_t
cimport pystack_c.const as C
from pystack_c.config cimport Config
from pystack_c.core cimport Core
from pystack_c.base.seqnum cimport seq_add
from pystack_c.tcp.opening cimport fastopen
from pystack_c.tcp.queues cimport memory
from pystack_c.tcp cimport mtuprobe, quirks, tell
from pystack_c.tcp.close cimport finish, timed_out
from pystack_c.tcp.output cimport send_new, waiting
from pystack_c.tcp.rtotimer cimport set_persist_timer, set_rto_alone, set_rto_timer
from pystack_c.tcp.schedule cimport schedule
from pystack_c.tcp.loss.rack cimport note_probe
from pystack_c.tcp.loss.recovery cimport overdue, timeout
from pystack_c.tcp.loss.retransmit cimport tail_loss_probe
from pystack_c.tcp.queues.sentseg cimport SentSegment
from pystack_c.tcp.loss.rtt cimport backed_off
from pystack_c.tcp.segment cimport send_segment
from pystack_c.tcp.mss cimport have_route
from pystack_c.tcp.tables cimport TcpTables
from pystack_c.tcp.tcb cimport Tcb
from pystack_c.base.timer cimport Timer

cpdef fire(Tcb tcb, int kind)

cdef class TcpLayer(TcpTables):
    cpdef on_timer(self, Tcb tcb, int kind)

@cython.locals(config=Config)
cpdef int give_up_after(Tcb tcb) except? -1
@cython.locals(limit=int64_t, opening=int64_t)
cpdef int64_t time_limit(Tcb tcb) except? -1
@cython.locals(limit=int64_t)
cpdef bint user_timeout_over(Tcb tcb) except -1
cpdef bint window_shrunk(Tcb tcb) except -1
cpdef loss_probe(Tcb tcb)
@cython.locals(core=Core, head=SentSegment, old=int64_t, new=int64_t, deadline=int64_t, limit=int64_t)
cpdef retransmission(Tcb tcb)
@cython.locals(core=Core, old=int64_t)
cpdef persist(Tcb tcb)
@cython.locals(old=int64_t)
cpdef no_way(Tcb tcb)
cpdef flush(Tcb tcb)
cpdef probe(Tcb tcb, str why, str rfc)
cpdef delayed_ack(Tcb tcb)
@cython.locals(core=Core, at=int64_t)
cpdef keepalive_arm(Tcb tcb)
@cython.locals(core=Core, idle=int64_t, over=bint, at=int64_t)
cpdef keepalive(Tcb tcb)
