cimport cython
from libc.stdint cimport uint32_t
cimport pystack_c.const as C
from pystack_c.core cimport Core
from pystack_c.packet cimport Outgoing
from pystack_c.route cimport Dst, transport_sum
from pystack_c.tcp cimport quirks
from pystack_c.tcp.ecn cimport accecn
from pystack_c.tcp.tcb cimport Tcb
from pystack_c.wire.checksum cimport sum_scratch
from pystack_c.wire.tcp cimport write_tcp, write_timestamps
from pystack_c.tcp.timestamps cimport ts_now
from pystack_c.packet cimport Packet
from pystack_c.base.seqnum cimport seq_add
from pystack_c.wire.tcp cimport segment_len
from pystack_c.base.address cimport addr_t

@cython.locals(ttl=int, tos=int, owner=Tcb)
cpdef send_reset(Core core, addr_t src, addr_t dst, int sport, int dport, uint32_t seq, uint32_t ack, int flags, str reason, str rfc)
@cython.locals(route=Dst, acc=uint32_t, fields=dict, out=Outgoing)
cpdef reset_segment(Core core, addr_t src, addr_t dst, int sport, int dport, uint32_t seq, uint32_t ack, int hlen, int flags, int ttl, int tos, str reason, str rfc, object options)
@cython.locals(core=Core, hlen=int, flags=int, seq=uint32_t, ack=uint32_t, ttl=int, tos=int)
cpdef reset_connection(Tcb tcb, str reason, str rfc)
@cython.locals(ack=uint32_t)
cpdef refuse(Core core, Packet pkt, str why, str rfc)
