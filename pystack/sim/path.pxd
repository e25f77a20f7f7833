cimport cython
from libc.stdint cimport int64_t
cimport pystack_c.const as C
from pystack.sim.channel cimport Channel
from pystack.sim.scheduler cimport Scheduler
from pystack.sim.virtual cimport VirtualHost
from pystack_c.endpoint cimport Endpoint
from pystack_c.iface cimport Iface
from pystack_c.packet cimport Transmit, new_transmit
from pystack_c.stack cimport Stack

cdef class SimPort:
    cdef public Scheduler net
    cdef public object node
    cdef public object name
    cdef public int kind
    cdef public object iface
    cdef public Channel out
    cdef public SimPort peer
    cdef public list taps
    cdef public list boxes
    cdef public object transmitter
    cpdef send(self, bytes frame)
    cdef _transmit(self, bytes frame)
    @cython.locals(net=Scheduler, out=Channel, peer=SimPort, time=int64_t, data=bytes)
    cpdef put(self, bytes frame)
    cpdef arrive(self, bytes frame)
    @cython.locals(host=HostPath)
    cpdef _deliver(self, bytes frame)
    @cython.locals(net=Scheduler, out=Channel, peer=SimPort, single=bint, frame=bytes)
    cpdef send_whole(self, Transmit tx)
    @cython.locals(host=HostPath, frame=bytes)
    cpdef arrive_whole(self, Transmit tx)

@cython.locals(made=Transmit)
cdef Transmit _flat(Transmit tx)

cdef class HostPath(VirtualHost):
    cdef public bint up
    cdef public bint whole
    cdef public dict _by_iface
    cdef public int64_t _wake_at
    cdef public bint _draining
    @cython.locals(stack=Stack, tx=Transmit, endpoint=Endpoint, time=int64_t, net=Scheduler, causes=object)
    cpdef pump(self)
    @cython.locals(net=Scheduler, now=int64_t, tx=Transmit)
    cpdef Transmit poll_transmit(self)
    @cython.locals(port=SimPort)
    cpdef _send(self, Transmit tx)
    @cython.locals(net=Scheduler, now=int64_t, iface=Iface)
    cpdef deliver(self, SimPort port, bytes frame)
    @cython.locals(net=Scheduler, now=int64_t, iface=Iface, flags=int)
    cpdef deliver_whole(self, SimPort port, Transmit tx)
