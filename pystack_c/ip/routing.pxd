cimport cython
from libc.stdint cimport uint32_t
cimport pystack_c.const as C
from pystack_c.link cimport neighbor
from pystack_c.core cimport Core
from pystack_c.iface cimport Iface, LocalAddr
from pystack_c.route cimport Dst, Route, link_mtu
from pystack_c.wire cimport ipv4 as wire
from pystack_c.base.address cimport addr_text
from pystack_c.ip.pmtu cimport expire_mtu

@cython.locals(dst=Dst)
cpdef Dst route_output(Core core, uint32_t addr, uint32_t src=*, Iface iface=*, bint onlink=*)
@cython.locals(found=Dst, dst=Dst)
cpdef Dst find_route(Core core, uint32_t addr, uint32_t src=*, Iface iface=*, bint onlink=*)
@cython.locals(mine=LocalAddr, own=LocalAddr, route=Route, src=uint32_t, hop=uint32_t, kind=int, dst=Dst)
cdef Dst _resolve(Core core, uint32_t addr, Iface iface, bint onlink)
@cython.locals(route=Route, other=Iface, kind=int)
cdef Dst _resolve_group(Core core, uint32_t addr, Iface iface)
@cython.locals(addr=uint32_t, other=Iface, own=LocalAddr)
cpdef uint32_t source_address(Core core, Iface iface, uint32_t hop) except? 0xFFFFFFFF
@cython.locals(fields=dict, why=str, rfc=str)
cdef _tell_route(Core core, uint32_t addr, Dst dst)
