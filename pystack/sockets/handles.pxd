cimport cython
from libc.stdint cimport int64_t
from pystack.sockets.readiness cimport Readiness
from pystack.runtime.lock cimport Lock, this_thread
from pystack.runtime.sockethost cimport SocketHost
from pystack.runtime.waiting cimport Watch

cdef dict _table
cdef dict _loops

cpdef again()
cpdef error(int code)
cpdef bint in_loop(Description description) except -1

cdef class Description:
    cdef public SocketHost host
    cdef public object endpoint
    cdef public int family
    cdef public int type
    cdef public int proto
    cdef public Watch watch
    cdef public int refs
    cdef public bint closed
    cdef public object rcvtimeo
    cdef public object sndtimeo
    cdef public object linger
    cdef public dict cmsgs
    cdef public int timestamp
    cpdef await_ready(self, int bits, timeout, deadline, limit)
    cpdef shown(self)

@cython.final
cdef class Handle:
    cdef public Description description
    cdef public int number
    cdef public int alias
    cdef public Readiness readiness
    cdef public bint blocking
    @cython.locals(host=SocketHost)
    cpdef int known(self) except -2
    @cython.locals(number=int)
    cdef _make_alias(self, Description description)
    @cython.locals(description=Description, host=SocketHost)
    cpdef int fileno(self, bint blocking=*) except -2
    @cython.locals(readiness=Readiness, number=int)
    cdef _make_number(self, Description description, bint blocking)
    cpdef bint ours(self) except -1
    @cython.locals(readiness=Readiness)
    cpdef show_blocking(self, bint blocking)
    @cython.locals(description=Description, lock=Lock, last=bint, ours=bint)
    cpdef close(self)
    @cython.locals(description=Description)
    cpdef lost(self)
    @cython.locals(description=Description, last=bint)
    cpdef bury(self)
    @cython.locals(description=Description)
    cpdef vanish(self)
    cpdef mute(self)
    cdef bint _drop(self, Description description) except -1
    @cython.locals(readiness=Readiness)
    cdef bint _give_back(self, Description description) except -1
