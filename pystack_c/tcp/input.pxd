cimport cython
from libc.stdint cimport int64_t, uint32_t
cimport pystack_c.const as C
from pystack_c.core cimport Core
from pystack_c.counters cimport Counters
from pystack_c.packet cimport Packet
from pystack_c.base.seqnum cimport seq_add, seq_diff, seq_ge, seq_gt, seq_le, seq_lt
from pystack_c.tcp.ecn cimport accecn, ecn
from pystack_c.tcp cimport tell
from pystack_c.tcp.ack cimport process_ack
from pystack_c.tcp.close cimport abort_connection, await_fin, enter_time_wait, fail_connection, finish
from pystack_c.tcp.data cimport ack_now, fin_again, option_may_be_blocked, segment_fin, segment_text
from pystack_c.tcp.opening.handshake cimport became_established, syn_received_ack, syn_sent_state
from pystack_c.tcp.opening.listen cimport listen_state
from pystack_c.tcp.output cimport schedule, set_rto_timer
from pystack_c.tcp.queues.rtxq cimport RtxQueue
from pystack_c.tcp.queues.sentseg cimport SentSegment
from pystack_c.tcp.segment cimport send_reset
from pystack_c.tcp.state cimport set_state
from pystack_c.tcp.tables cimport TcpTables
from pystack_c.tcp.tcb cimport Tcb
from pystack_c.tcp.timers cimport give_up_after
from pystack_c.wire.checksum cimport checksum, pseudo_sum
from pystack_c.wire.tcp cimport parse_tcp

@cython.locals(acc=uint32_t, tables=TcpTables, tcb=Tcb, child=Tcb)
cpdef segment_arrives(Core core, Packet pkt)
@cython.locals(core=Core, flags=int, rfc=str)
cpdef bint came_another_way(Tcb tcb, Packet pkt) except -1
@cython.locals(fields=dict, reason=str)
cpdef explain_arrival(Tcb tcb, Packet pkt)
@cython.locals(n=int64_t)
cpdef int64_t segment_len(Packet pkt)
@cython.locals(subject=str)
cpdef closed_state(Core core, Packet pkt)
@cython.locals(ack=uint32_t)
cpdef refuse(Core core, Packet pkt, str why, str rfc)
@cython.locals(wnd=int64_t, seq=uint32_t, edge=uint32_t, last=uint32_t)
cpdef bint acceptable(Tcb tcb, Packet pkt, int64_t length)
cpdef bint newer_stamp(Tcb tcb, Packet pkt) except -1
cpdef bint paws_reject(Tcb tcb, Packet pkt)
@cython.locals(counters=Counters)
cdef count_paws(Tcb tcb, Packet pkt)
@cython.locals(core=Core, flags=int, length=int64_t, zero_window=bint)
cpdef other_states(Tcb tcb, Packet pkt)
@cython.locals(state=int, why=str)
cpdef bint text_allowed(Tcb tcb, Packet pkt)
@cython.locals(core=Core, n=int64_t)
cpdef unacceptable(Tcb tcb, Packet pkt)
cpdef bad_segment_ack(Tcb tcb, str why, bint paws)
@cython.locals(core=Core)
cpdef bint bad_ack_too_soon(Tcb tcb) except -1
@cython.locals(counters=Counters)
cdef ack_skipped(Tcb tcb, bint paws)
cpdef note_timestamp(Tcb tcb, Packet pkt)
@cython.locals(state=int, counters=Counters, error=int, why=str, rfc=str)
cpdef reset_arrived(Tcb tcb, Packet pkt)
@cython.locals(core=Core)
cpdef challenge_ack(Tcb tcb, str why, str rfc)
@cython.locals(core=Core, q=RtxQueue, head=SentSegment, last=bint)
cpdef syn_again(Tcb tcb)
@cython.locals(newer=bint, listener=Tcb)
cpdef bint reopen(Tcb tcb, Packet pkt)
cpdef bint old_ack(Tcb tcb, Packet pkt) except -1
@cython.locals(core=Core, ack=uint32_t)
cpdef bint ack_field(Tcb tcb, Packet pkt)
@cython.locals(state=int, rfc=str)
cpdef bint fin_acked(Tcb tcb)
@cython.locals(up=uint32_t)
cpdef urgent(Tcb tcb, Packet pkt)
@cython.locals(flags=int)
cpdef time_wait_answer(Tcb tcb, Packet pkt)
