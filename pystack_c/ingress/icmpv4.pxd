cimport cython
from libc.stdint cimport int64_t, uint32_t
cimport pystack_c.const as C
from pystack_c.ip cimport icmpv4, reassembly, redirect
from pystack_c.sockets cimport raw, udp
from pystack_c.core cimport Core
from pystack_c.iface cimport Iface
from pystack_c.base.address cimport addr_t, addr_text, from_bytes
from pystack_c.ip.routing cimport find_route
from pystack_c.packet cimport Packet
from pystack_c.route cimport Dst
from pystack_c.tcp cimport icmp as tcp_icmp
from pystack_c.wire cimport icmpv4 as wire

cpdef int error_of(int icmp_type, int code) except? -1
@cython.locals(code=int, fields=dict)
cpdef input(Core core, Iface iface, Packet pkt, bint taken)
@cython.locals(quote=bytes, hlen=Py_ssize_t, dst=Dst, why=str)
cdef _redirect(Core core, Iface iface, Packet pkt)
@cython.locals(hlen=Py_ssize_t)
cdef Py_ssize_t _quoted_header(bytes quote) except -1
@cython.locals(src=addr_t, dst=addr_t, l4=bytes, sport=int, dport=int, proto=int)
cdef Dst _path_of(Core core, Iface iface, bytes quote, Py_ssize_t hlen)
@cython.locals(info=uint32_t, quote=bytes)
cdef _error(Core core, Iface iface, Packet pkt)
@cython.locals(subject=str, hlen=Py_ssize_t, src=addr_t, dst=addr_t, proto=int, error=int, l4=bytes, sport=int, dport=int, found=bint, seq=uint32_t, length=int, why=str)
cpdef deliver_error(Core core, Iface iface, int icmp_type, int code, int64_t info, addr_t offender, bytes quote, bint local)
@cython.locals(mtu=int, plateau=int)
cdef int _next_hop_mtu(int64_t info, int length) except? -1
@cython.locals(pkt=Packet, why=str)
cpdef process_failure(Core core, Iface iface, int icmp_type, int code, bytes packet)
