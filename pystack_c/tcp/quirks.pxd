cimport cython
from libc.stdint cimport int64_t, uint32_t
cimport pystack_c.const as C
from pystack_c.base.seqnum cimport seq_add, seq_ge, seq_le, seq_lt
from pystack_c.config cimport Config
from pystack_c.core cimport Core
from pystack_c.packet cimport Packet
from pystack_c.tcp.queues.rtxq cimport RtxQueue
from pystack_c.tcp.tcb cimport Tcb
from pystack_c.wire.tcp cimport segment_len

cpdef int icmp_problem(Core core, int problem, bint hard) except -1
@cython.locals(config=Config)
cpdef bint icmp_ends_opening(Core core, int kind, int code, bint hard) except -1
cpdef bint fast_open_is_opening(Tcb tcb) except -1
cpdef bint icmp_ends_child(Tcb tcb, int kind, int code) except -1
cpdef bint syn_opens(Core core, int flags) except -1
cpdef bint listener_resets(Core core, int flags) except -1
cpdef bint foreign_stamp(Tcb tcb, Packet pkt, uint32_t latest) except -1
@cython.locals(keep=long, end=int)
cpdef keep_crossed_text(Tcb tcb, Packet pkt)
@cython.locals(size=int64_t)
cpdef round_buffer(Tcb tcb)
cpdef bint fin_may_wait(Tcb tcb) except -1
cpdef bint leaves_whole(Tcb tcb, RtxQueue q) except -1
cpdef bint probe_takes_rto(Tcb tcb) except -1
@cython.locals(config=Config)
cpdef bint spreads_response(Tcb tcb) except -1
cpdef int64_t cubic_base(Tcb tcb, int64_t flight) except -1
cpdef bint keeps_alive(Core core) except -1
cpdef int64_t first_window(Tcb tcb) except -1
cpdef bint announces_path_mtu(Tcb tcb) except -1
cpdef bint drops_options(Tcb tcb) except -1
cpdef int64_t opening_time(Tcb tcb) except -1
cpdef bint acks_crossed(Tcb tcb) except -1
cpdef bint drops_syn_fin(Core core) except -1
cpdef bint answers_in_time_wait(Tcb tcb, int flags) except -1
cpdef bint repeats_fin(Tcb tcb) except -1
cpdef bint any_reset_counts(Tcb tcb) except -1
cpdef bint syn_resets(Tcb tcb) except -1
cpdef bint reset_is_error(Tcb tcb) except -1
@cython.locals(owner=Tcb, item=object)
cpdef Tcb reset_owner(Core core, int port)
cpdef bint ignores_unsent(Tcb tcb) except -1
cpdef bint old_duplicate_counts(Tcb tcb, Packet pkt) except -1
cpdef bint probes_largest(Tcb tcb) except -1
cpdef bint cubic_as_linux(Tcb tcb) except -1
cpdef long ecn_retries(Tcb tcb) except? -1
cpdef bint crossed_keeps_ecn(Tcb tcb) except -1
cpdef bint tells_marks(Tcb tcb) except -1
cpdef bint option_on_all(Tcb tcb) except -1
cpdef bint option_before_sack(Tcb tcb) except -1
cpdef bint all_are_capable(Tcb tcb) except -1
cpdef bint late_marks_count(Tcb tcb, Packet pkt) except -1
cpdef bint linux_queue(Tcb tcb) except -1
cpdef long least_group(Tcb tcb) except? -1
cpdef int64_t buffer_reads(Tcb tcb, int64_t size) except? -1
