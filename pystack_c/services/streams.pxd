cimport cython
from libc.stdint cimport int64_t
from pystack_c.services.base cimport DatagramService, StreamService, room, skip
from pystack_c.tcp cimport user
from pystack_c.tcp.tcb cimport Tcb

cdef class Echo(StreamService):
    @cython.locals(n=int64_t, data=bytes)
    cpdef work(self, Tcb tcb, int64_t now)

cdef class Discard(StreamService):
    cpdef work(self, Tcb tcb, int64_t now)

cdef class Chargen(StreamService):
    @cython.locals(n=int64_t, begin=int64_t)
    cpdef work(self, Tcb tcb, int64_t now)

cdef class EchoDatagram(DatagramService):
    cpdef answer(self, bytes data)

cdef class DiscardDatagram(DatagramService):
    cpdef answer(self, bytes data)

cdef class ChargenDatagram(DatagramService):
    cpdef answer(self, bytes data)
