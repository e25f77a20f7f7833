cimport cython
from libc.stdint cimport int64_t, uint32_t, uint64_t
cimport pystack_c.const as C
from pystack_c.config cimport Config
from pystack_c.core cimport Core
from pystack_c.packet cimport Packet
from pystack_c.sockets.ports cimport PortTable
from pystack_c.base.ratelimit cimport SharedBudget
from pystack_c.tcp.tcb cimport Tcb
from pystack_c.base.timer cimport Timer
from pystack_c.base.address cimport addr_t, conn_key, key

cdef class TcpTables(PortTable):
    cdef public Core core
    cdef public dict conns
    cdef public dict listeners
    cdef public Tcb latest
    cdef public int64_t time_wait
    cdef public SharedBudget challenge_budget
    cdef public int64_t cookie_at
    cdef public dict fastopen_cache
    @cython.locals(of_addr=dict, tcb=Tcb)
    cpdef Tcb lookup(self, Packet pkt)
    @cython.locals(group=list, only=Tcb, exact=list)
    cpdef Tcb listener_for(self, Packet pkt)
    @cython.locals(of_addr=dict)
    cpdef Tcb find(self, addr_t laddr, int lport, addr_t raddr, int rport)
    @cython.locals(of_addr=dict)
    cpdef register(self, Tcb tcb)
    @cython.locals(of_addr=dict)
    cpdef unregister(self, Tcb tcb)
    cpdef release(self, Tcb tcb)
    cpdef listen(self, Tcb tcb)
    @cython.locals(group=list)
    cpdef unlisten(self, Tcb tcb)
    cpdef uint64_t hash4(self, addr_t laddr, uint64_t lport, addr_t raddr, uint64_t rport) except? 0xFFFFFFFFFFFFFFFF
    @cython.locals(forced=int64_t)
    cpdef uint32_t isn(self, Tcb tcb) except? 0xFFFFFFFF
    cpdef uint32_t ts_offset(self, Tcb tcb) except? 0xFFFFFFFF
    @cython.locals(core=Core)
    cpdef bint challenge_allowed(self) except -1
    cpdef bint count_time_wait(self, Tcb tcb) except -1
    @cython.locals(tcb=Tcb)
    cpdef bint tuple_busy(self, addr_t laddr, int lport, addr_t raddr, int rport) except -1
    @cython.locals(core=Core, how=int)
    cpdef bint reusable(self, Tcb tcb) except -1
    @cython.locals(found=dict, group=list, of_addr=dict, tcb=Tcb)
    cpdef list all(self)
