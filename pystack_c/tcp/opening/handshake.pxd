cimport cython
from libc.stdint cimport int64_t, uint32_t
cimport pystack_c.const as C
from pystack_c.config cimport Config
from pystack_c.core cimport Core
from pystack_c.packet cimport Packet
from pystack_c.base.seqnum cimport seq_add, seq_gt, seq_le
from pystack_c.tcp.ecn cimport ecn
from pystack_c.tcp.opening cimport fastopen
from pystack_c.tcp.queues cimport memory
from pystack_c.tcp cimport mtuprobe, quirks, tell
from pystack_c.tcp.congestion.base cimport create
from pystack_c.tcp.ack cimport clean_rtxq, data_acked, measure, restart_rto
from pystack_c.tcp.close cimport abort_connection, fail_connection
from pystack_c.tcp.data cimport segment_fin, segment_text
from pystack_c.tcp.delack cimport ack_now, ack_policy
from pystack_c.tcp.opening.listener cimport Listener
from pystack_c.tcp.schedule cimport schedule
from pystack_c.tcp.congestion.rate cimport new_rate, set_pacing
from pystack_c.tcp.loss.rtt cimport backed_off
from pystack_c.tcp.reset cimport send_reset
from pystack_c.tcp.timestamps cimport ts_now
from pystack_c.tcp.mss cimport have_route, update_mss
from pystack_c.tcp.window cimport opening_window
from pystack_c.tcp.state cimport set_state
from pystack_c.tcp.tcb cimport Tcb, new_tcb
from pystack_c.tcp.timers cimport keepalive_arm

@cython.locals(config=Config, shift=int, most=int64_t)
cpdef int window_scale(Tcb tcb) except? -1
@cython.locals(config=Config, old=int64_t)
cpdef take_syn(Tcb tcb, Packet pkt)
@cython.locals(core=Core, tcb=Tcb)
cpdef Tcb fresh_child(Tcb listener, Packet pkt)
@cython.locals(queue=Listener)
cpdef to_accept_queue(Tcb tcb, Tcb listener)
cpdef inherit(Tcb tcb, Tcb listener)
@cython.locals(core=Core)
cdef crossed_syns(Tcb tcb, Packet pkt)
@cython.locals(core=Core, flags=int, rfc=str, ack_ok=bint, sample=int64_t)
cpdef syn_sent_state(Tcb tcb, Packet pkt)
cpdef rest_of_syn(Tcb tcb, Packet pkt)
@cython.locals(core=Core, parent=Tcb, queue=Listener, sample=int64_t, old=int64_t)
cpdef bint syn_received_ack(Tcb tcb, Packet pkt) except -1
@cython.locals(n=int64_t, before=uint32_t)
cpdef text_of_syn(Tcb tcb)
@cython.locals(core=Core, timeout=int64_t, fresh=bint, old=int64_t)
cpdef became_established(Tcb tcb, Packet pkt, str why)
@cython.locals(least=int)
cdef bint syn_lost(Tcb tcb, Packet pkt) except -1
@cython.locals(old=int64_t, ssthresh=int64_t)
cpdef start_congestion_control(Tcb tcb)
