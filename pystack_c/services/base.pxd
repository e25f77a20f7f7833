cimport cython
from libc.stdint cimport int64_t
cimport pystack_c.const as C
from pystack_c.base.address cimport addr_t, key
from pystack_c.sockets cimport udp
from pystack_c.config cimport Config
from pystack_c.endpoint cimport Endpoint
from pystack_c.sockets.ports cimport PortTable
from pystack_c.services.session cimport Session
from pystack_c.tcp cimport user
from pystack_c.tcp.tcb cimport Tcb
from pystack_c.sockets.udp cimport UdpSocket
from pystack_c.sockets.record cimport Datagram

cdef class Service:
    cpdef serve(self, Endpoint ep, int64_t now)

cdef int64_t _LEAST, _LITTLE, _TTL_STEP, _SKIPPED

cdef class StreamService(Service):
    cdef public int limit
    cdef public dict conns
    cdef public dict peers
    @cython.locals(tcb=Tcb)
    cpdef serve(self, Endpoint ep, int64_t now)
    @cython.locals(tcb=Tcb, held=int64_t)
    cdef _accept(self, Tcb listener, int64_t now)
    cdef _serve_connection(self, Tcb tcb, int64_t now)
    cpdef work(self, Tcb tcb, int64_t now)
    @cython.locals(session=Session)
    cpdef end(self, Tcb tcb, int64_t now)
    @cython.locals(held=int64_t)
    cpdef forget(self, Session session)
    @cython.locals(tcb=Tcb)
    cpdef expire(self, Session session, str name, int64_t now)
    cpdef late(self, Tcb tcb, int64_t now)
    @cython.locals(session=Session)
    cpdef blocked(self, Tcb tcb, int64_t now)
    @cython.locals(session=Session)
    cpdef begun(self, Tcb tcb, int64_t now)
    @cython.locals(held=int64_t)
    cpdef bint greedy(self, addr_t peer) except -1
    @cython.locals(config=Config, held=int64_t, peers=int64_t, most=int64_t, free=int64_t, left=int64_t)
    cpdef int64_t share(self, Tcb tcb, int64_t room) except -1
    @cython.locals(session=Session)
    cpdef stop(self, int64_t now)

@cython.locals(n=int64_t, service=StreamService)
cpdef int64_t room(Tcb tcb) except -1
@cython.locals(done=int64_t)
cpdef skip(Tcb tcb, int64_t n, int64_t now)

cdef class DatagramService(Service):
    cdef public int64_t seen
    @cython.locals(sock=UdpSocket, datagram=Datagram, reply=bytes, why=str, ttl=int)
    cpdef serve(self, Endpoint ep, int64_t now)
    cpdef answer(self, bytes data)
    @cython.locals(ports=PortTable, others=dict, other=Endpoint)
    cpdef str refuses(self, UdpSocket sock, Datagram datagram)

cpdef not_there(str name)
cpdef attach(Endpoint ep, Service service)
