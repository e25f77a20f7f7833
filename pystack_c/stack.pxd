cimport cython
from libc.stdint cimport int64_t, uint32_t, uint64_t
cimport pystack_c.const as C
from pystack_c cimport ip_input, neighbor
from pystack_c.core cimport Core
from pystack_c.endpoint cimport Endpoint
from pystack_c.iface cimport Iface, LocalAddr
from pystack_c.packet cimport Packet, Transmit
from pystack_c.route cimport Route, RouteTable, netmask
from pystack_c.tcp.output cimport tcp_output
from pystack_c.tcp.tables cimport TcpTables
from pystack_c.tcp.tcb cimport Tcb
from pystack_c.timer cimport Timer
from pystack_c.wire cimport ethernet

cdef class Stack(Core):
    @cython.locals(own=LocalAddr)
    cpdef LocalAddr add_addr(self, Iface iface, uint32_t addr, int prefixlen)
    @cython.locals(own=LocalAddr, other=LocalAddr)
    cpdef del_addr(self, Iface iface, uint32_t addr)
    cpdef set_iface(self, Iface iface, bint up)
    cpdef add_neighbor(self, Iface iface, uint32_t addr, uint64_t mac)
    cdef _routes_changed(self)
    cpdef receive(self, Iface iface, bytes frame, int64_t now, Py_ssize_t offset=*, int flags=*, int gso_size=*)
    @cython.locals(pkt=Packet, code=int)
    cdef _input(self, Iface iface, bytes frame, Py_ssize_t offset, int flags, int gso_size)
    @cython.locals(timer=Timer, name=str)
    cpdef handle_timeout(self, int64_t now)
    @cython.locals(tx=Transmit)
    cpdef Transmit poll_transmit(self, int64_t now)
    @cython.locals(tcb=Tcb)
    cdef bint _produce(self) except -1
    @cython.locals(ep=Endpoint)
    cpdef Endpoint poll_event(self)
    @cython.locals(deadline=int64_t)
    cpdef object poll_timeout(self)
