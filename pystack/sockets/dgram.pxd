cimport cython
cimport pystack_c.const as C
from libc.stdint cimport int64_t
from pystack.sockets.handles cimport Description, again, error
from pystack.runtime.sockethost cimport SocketHost
from pystack_c.base.address cimport addr_t
from pystack_c.sockets cimport udp as direct
from pystack_c.sockets.record cimport Datagram
from pystack_c.sockets.udp cimport UdpSocket

@cython.final
cdef class Datagrams(Description):
    cdef public object calls
    cdef public UdpSocket udp
    cdef public bint connected
    cpdef bind(self, addr, port)
    cpdef connect(self, addr, port, timeout)
    cpdef disconnect(self)
    @cython.locals(core_flags=int, got=Datagram, deadline=object)
    cpdef recvfrom(self, int flags, timeout)
    @cython.locals(host=SocketHost, now=int64_t)
    cdef Datagram _take(self, int flags)
    @cython.locals(got=Datagram)
    cpdef bytes recv(self, int64_t n, int flags, timeout)
    cpdef int64_t send(self, data, int flags, timeout) except -1
    cpdef sendall(self, data, int flags, timeout)
    @cython.locals(host=SocketHost, now=int64_t)
    cpdef int64_t sendto(self, bytes data, addr_t addr, int port, int flags, timeout) except -1
    cpdef int64_t sendmsg(self, bytes data, addr_t addr, int port, int flags, tuple control) except -1
    cpdef shutdown(self, how)
    cpdef getsockname(self)
    cpdef getpeername(self)
    cpdef setsockopt(self, level, name, value)
    @cython.locals(value=object)
    cpdef getsockopt(self, level, name)
    cpdef release(self)
    cpdef discard(self)
