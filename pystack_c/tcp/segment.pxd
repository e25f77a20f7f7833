cimport cython
from libc.stdint cimport int64_t, uint32_t
cimport pystack_c.const as C
from pystack_c.core cimport Core
from pystack_c.ip.output cimport output
from pystack_c.packet cimport Outgoing
from pystack_c.route cimport Dst, transport_sum
from pystack_c.base.seqnum cimport seq_diff, seq_gt
from pystack_c.tcp cimport quirks
from pystack_c.tcp.ecn cimport accecn
from pystack_c.tcp.tcb cimport Tcb
from pystack_c.wire.checksum cimport sum_any, sum_scratch
from pystack_c.wire.tcp cimport write_sack, write_tcp, write_timestamps
from pystack_c.tcp.window cimport select_window
from pystack_c.tcp.mss cimport fragmenting, path_mtu
from pystack_c.tcp.timestamps cimport ts_now
from pystack_c.tcp.optionroom cimport accecn_option, blocks_beside, most_blocks

cpdef int ecn_flags(Tcb tcb, int flags, int64_t length, bint sacks) except -100
@cython.locals(core=Core, scratch=bytearray, hlen=int, count=int, pieces=int, blocks=list, chosen=int, window=int64_t, urg=int, tos=int, payload=object, fields=dict)
cpdef int send_segment(Tcb tcb, uint32_t seq, int flags, int64_t offset, int64_t length, int gso_size, str reason, str rfc) except? -1
cdef bint _may_be_capable(Tcb tcb) noexcept
@cython.locals(ahead=int64_t)
cdef int urgent_pointer(Tcb tcb, uint32_t seq) noexcept
cdef void count_sent(Tcb tcb, int64_t length, int pieces) noexcept
cpdef ack_was_sent(Tcb tcb, int count)
@cython.locals(core=Core, route=Dst, acc=uint32_t, csum_offset=int, out=Outgoing, error=int)
cpdef int hand_to_ip(Tcb tcb, int hlen, object payload, int64_t length, int gso_size, int tos) except? -1
