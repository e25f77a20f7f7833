cimport cython
from libc.stdint cimport int64_t, uint32_t
cimport pystack_c.const as C
from pystack_c.config cimport Config
from pystack_c.core cimport Core
from pystack_c.counters cimport Counters
from pystack_c.iface cimport Iface
from pystack_c.base.address cimport addr_t, addr_text, is_group, is_loopback
from pystack_c.packet cimport Outgoing, Packet
from pystack_c.route cimport Dst
from pystack_c.wire cimport icmpv4 as wire

cpdef bint is_error(int icmp_type) except -1
cpdef count_out(Core core, int icmp_type)
cpdef count_in(Core core, int icmp_type)
@cython.locals(name=str)
cdef _count(Counters counters, str way, int icmp_type, dict names)
@cython.locals(dst=Dst, out=Outgoing)
cpdef int send(Core core, addr_t src, addr_t daddr, int icmp_type, int code, uint32_t rest, object payload, int ttl, int tos, str why, str rfc, object options=*) except -1
@cython.locals(src=addr_t, options=object, data=bytes, why=str, error=int)
cpdef echo_reply(Core core, Packet pkt)
@cython.locals(p="const unsigned char*")
cpdef bint may_send_error(Core core, Packet pkt, Iface iface) except -1
@cython.locals(config=Config)
cpdef bint may_send_now(Core core, addr_t addr, Iface iface, int icmp_type, int code) except -1
@cython.locals(src=addr_t)
cpdef send_error(Core core, Packet pkt, Iface iface, int icmp_type, int code, uint32_t rest, str why, str rfc)
@cython.locals(end=Py_ssize_t, quote=bytes, tos=int, error=int)
cpdef int send_quote(Core core, addr_t src, Packet pkt, int icmp_type, int code, uint32_t rest, str why, str rfc) except -1
