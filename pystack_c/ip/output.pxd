cimport cython
from libc.stdint cimport uint32_t
cimport pystack_c.const as C
from pystack_c.link cimport neighbor
from pystack_c.core cimport Core
from pystack_c.filter.hooks cimport verdict_of
from pystack_c.iface cimport Iface
from pystack_c.packet cimport Outgoing
from pystack_c.route cimport Dst
from pystack_c.wire cimport ipv4 as wire
from pystack_c.wire.checksum cimport sum_bytes
from pystack_c.base.address cimport addr_t, addr_text
from pystack_c.ip.routing cimport route_flow

@cython.locals(value=int)
cpdef int new_ident(Dst dst, int count) except -1
@cython.locals(hlen=Py_ssize_t, total=Py_ssize_t, start=Py_ssize_t, dst=Dst, count=int, ident=int, mtu=int, data=bytes, flags=int, verdict=int)
cpdef int output(Core core, Outgoing out) except -1
@cython.locals(daddr=addr_t, dst=Dst, verdict=int, why=str)
cpdef int ask_hooks(Core core, Outgoing out) except -1
@cython.locals(sport=int, dport=int, p="unsigned char*")
cdef Dst _route_anew(Core core, Outgoing out)
@cython.locals(start=Py_ssize_t, total=Py_ssize_t, packet=bytes)
cpdef loop_back(Core core, Outgoing out, bytes payload)
@cython.locals(s=uint32_t)
cpdef bytes _finish_checksum(bytes data, Py_ssize_t csum_offset)
@cython.locals(pos=Py_ssize_t, count=int, length=Py_ssize_t, view=object, options=bytes, opts=bytes, hlen=Py_ssize_t, room=Py_ssize_t, last=bint, size=Py_ssize_t, flags=int, start=Py_ssize_t, field=int, reason=str, fields=dict)
cpdef fragment(Core core, Outgoing out, int mtu, bytes data, list sizes=*)
