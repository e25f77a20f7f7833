cimport cython
from libc.stdint cimport uint32_t
cimport pystack_c.const as C
from pystack_c.link cimport neighbor
from pystack_c.core cimport Core
from pystack_c.filter.hooks cimport passes
from pystack_c.iface cimport Iface, LocalAddr
from pystack_c.packet cimport Outgoing
from pystack_c.route cimport Dst, Route, link_mtu
from pystack_c.wire cimport ipv4 as wire
from pystack_c.wire.checksum cimport sum_bytes

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
@cython.locals(old=int, locked=bint)
cpdef lower_mtu(Core core, Dst dst, int mtu)
@cython.locals(old=int)
cpdef expire_mtu(Core core, Dst dst)
@cython.locals(fields=dict)
cdef _tell_mtu(Core core, Dst dst, int old, str why, str rfc)
@cython.locals(value=int)
cpdef int new_ident(Dst dst, int count) except -1
@cython.locals(hlen=Py_ssize_t, total=Py_ssize_t, start=Py_ssize_t, dst=Dst, count=int, ident=int, mtu=int, data=bytes, flags=int)
cpdef int output(Core core, Outgoing out) except -1
@cython.locals(iface=Iface)
cdef bint _leaves(Core core, Outgoing out) except -1
@cython.locals(start=Py_ssize_t, total=Py_ssize_t, packet=bytes)
cpdef loop_back(Core core, Outgoing out, bytes payload)
@cython.locals(s=uint32_t)
cpdef bytes _finish_checksum(bytes data, Py_ssize_t csum_offset)
@cython.locals(pos=Py_ssize_t, count=int, length=Py_ssize_t, view=object, options=bytes, opts=bytes, hlen=Py_ssize_t, room=Py_ssize_t, last=bint, size=Py_ssize_t, flags=int, start=Py_ssize_t, field=int, reason=str, fields=dict)
cpdef fragment(Core core, Outgoing out, int mtu, bytes data)
