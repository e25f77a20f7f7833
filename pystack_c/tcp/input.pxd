cimport cython
from libc.stdint cimport int64_t, uint32_t
cimport pystack_c.const as C
from pystack_c.core cimport Core
from pystack_c.counters cimport Counters
from pystack_c.packet cimport Packet
from pystack_c.base.seqnum cimport seq_add, seq_diff, seq_ge, seq_gt, seq_le, seq_lt
from pystack_c.tcp cimport quirks
from pystack_c.tcp.ecn cimport accecn, ecn
from pystack_c.tcp.ack cimport process_ack
from pystack_c.tcp.close cimport abort_connection, await_fin, enter_time_wait, fail_connection, finish
from pystack_c.tcp.data cimport fin_again, option_may_be_blocked, segment_fin, segment_text
from pystack_c.tcp.delack cimport ack_now
from pystack_c.tcp.opening.handshake cimport became_established, syn_received_ack, syn_sent_state
from pystack_c.tcp.opening.listen cimport listen_state
from pystack_c.tcp.state cimport set_state
from pystack_c.tcp.tables cimport TcpTables
from pystack_c.tcp.tcb cimport Tcb
from pystack_c.wire.checksum cimport checksum, pseudo_sum
from pystack_c.wire.tcp cimport parse_tcp
from pystack_c.wire.tcp cimport segment_len
from pystack_c.tcp.timestamps cimport count_paws, newer_stamp, note_timestamp, paws_reject
from pystack_c.tcp.reset cimport refuse
from pystack_c.tcp.challenge cimport bad_segment_ack, challenge_ack
from pystack_c.tcp.urgent cimport urgent
from pystack_c.tcp.opening.repeat cimport syn_received_syn
from pystack_c.tcp.timewait cimport reopen, time_wait

@cython.locals(acc=uint32_t, tables=TcpTables, tcb=Tcb, child=Tcb)
cpdef segment_arrives(Core core, Packet pkt)
@cython.locals(core=Core, flags=int, rfc=str)
cpdef bint came_another_way(Tcb tcb, Packet pkt) except -1
@cython.locals(fields=dict, reason=str)
cpdef explain_arrival(Tcb tcb, Packet pkt)
@cython.locals(subject=str)
cpdef closed_state(Core core, Packet pkt)
@cython.locals(wnd=int64_t, seq=uint32_t, edge=uint32_t, last=uint32_t)
cpdef bint acceptable(Tcb tcb, Packet pkt, int64_t length) except -1
cdef bint goes_first(Tcb tcb, Packet pkt) except -1
cdef syn_arrived(Tcb tcb)
@cython.locals(core=Core, flags=int, length=int64_t, zero_window=bint)
cpdef other_states(Tcb tcb, Packet pkt)
@cython.locals(state=int, why=str)
cpdef bint text_allowed(Tcb tcb, Packet pkt) except -1
@cython.locals(core=Core, n=int64_t)
cpdef unacceptable(Tcb tcb, Packet pkt)
@cython.locals(state=int, counters=Counters, error=int, why=str, rfc=str)
cpdef reset_arrived(Tcb tcb, Packet pkt)
cdef bint _buffer_is_window(Tcb tcb) noexcept
@cython.locals(core=Core, ack=uint32_t, opened=bint)
cpdef bint ack_field(Tcb tcb, Packet pkt) except -1
@cython.locals(state=int, rfc=str)
cpdef bint fin_acked(Tcb tcb) except -1
