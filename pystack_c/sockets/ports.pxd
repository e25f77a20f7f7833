cimport cython
from libc.stdint cimport int64_t
from pystack_c.core cimport Core
from pystack_c.endpoint cimport Endpoint
from pystack_c.iface cimport Iface, LocalAddr
from pystack_c.base.address cimport addr_t, is_broadcast, is_multicast

cdef class PortTable:
    cdef public dict buckets
    cdef public bint groups
    @cython.locals(bucket=dict)
    cpdef add(self, Endpoint ep, int port)
    @cython.locals(bucket=dict)
    cpdef remove(self, Endpoint ep, int port)
    cpdef bint tuple_busy(self, addr_t laddr, int lport, addr_t raddr, int rport) except -1

@cython.locals(bucket=dict, item=object, other=Endpoint)
cpdef bint conflict(PortTable table, Endpoint ep, addr_t addr, int port) except -1
cpdef bind(Core core, Endpoint ep, PortTable table, addr_t addr, int port)
cpdef release(Endpoint ep, PortTable table)
@cython.locals(iface=Iface, own=LocalAddr)
cdef bint _is_group(Core core, addr_t addr) except -1
@cython.locals(first=int, count=int, start=int, i=int, port=int)
cdef int _free_port(Core core, Endpoint ep, PortTable table, addr_t addr) except -1
@cython.locals(first=int, count=int, offset=int64_t, _=int, port=int)
cpdef int connect_port(Core core, Endpoint ep, PortTable table, addr_t laddr, addr_t raddr, int rport) except -1
@cython.locals(bucket=dict, item=object, other=Endpoint)
cdef bint _connectable(PortTable table, int port, addr_t laddr, addr_t raddr, int rport) except -1
