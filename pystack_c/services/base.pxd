cimport cython
from libc.stdint cimport int64_t
cimport pystack_c.const as C
from pystack_c cimport udp
from pystack_c.endpoint cimport Endpoint
from pystack_c.tcp cimport user
from pystack_c.tcp.tcb cimport Tcb
from pystack_c.udp cimport UdpSocket
from pystack_c.datagram cimport Datagram

cdef class Service:
    cpdef serve(self, Endpoint ep, int64_t now)

cdef class StreamService(Service):
    cdef public int limit
    cdef public dict conns
    @cython.locals(tcb=Tcb)
    cpdef serve(self, Endpoint ep, int64_t now)
    @cython.locals(tcb=Tcb)
    cdef _accept(self, Tcb listener, int64_t now)
    cdef _serve_connection(self, Tcb tcb, int64_t now)
    cpdef work(self, Tcb tcb, int64_t now)
    cpdef end(self, Tcb tcb, int64_t now)
    @cython.locals(tcb=Tcb)
    cpdef stop(self, int64_t now)

cpdef int64_t room(Tcb tcb) except -1

cdef class DatagramService(Service):
    @cython.locals(sock=UdpSocket, datagram=Datagram, reply=bytes)
    cpdef serve(self, Endpoint ep, int64_t now)
    cpdef answer(self, bytes data)

cpdef not_there(str name)
cpdef attach(Endpoint ep, Service service)
