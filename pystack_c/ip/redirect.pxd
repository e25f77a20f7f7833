cimport cython
from libc.stdint cimport int64_t
cimport pystack_c.const as C
from pystack_c.base.address cimport addr_t, addr_text, is_group, is_loopback, key, v4, v4_bits
from pystack_c.core cimport Core
from pystack_c.iface cimport Iface, LocalAddr
from pystack_c.ip cimport icmpv4
from pystack_c.ip.policy cimport RouteFlow, Policy
from pystack_c.ip.routing cimport lookup
from pystack_c.packet cimport Packet
from pystack_c.route cimport Dst, Route

@cython.final
cdef class RedirectedHost:
    cdef public int count
    cdef public int64_t last

@cython.final
cdef class Redirects:
    cdef public object accepted
    cpdef accept(self, object addr, Iface iface, addr_t old, addr_t new)
    @cython.locals(found=tuple)
    cpdef addr_t hop(self, object addr, Iface iface, addr_t gateway) except? 0xFFFFFFFF

@cython.locals(route=Route, hosts=object, host=RedirectedHost, why=str)
cpdef report(Core core, Iface iface, Packet pkt, Dst dst)
@cython.locals(policy=Policy, flow=RouteFlow, error=int, route=Route)
cdef Route _route_back(Core core, Iface iface, Packet pkt)
@cython.locals(gateway=addr_t, own=LocalAddr, item=object)
cpdef str refused(Core core, Iface iface, Packet pkt, Dst dst)
@cython.locals(gateway=addr_t, known=Redirects, policy=Policy, item=object, other=Dst, fields=dict, why=str)
cpdef accept(Core core, Iface iface, Packet pkt, Dst dst)
