cimport cython
cimport pystack_c.const as C
from libc.stdint cimport int64_t, uint64_t
from pystack_c.base.address cimport key
from pystack.sockets.handles cimport Description, Handle, again, error
from pystack.runtime.sockethost cimport SocketHost
from pystack.runtime.waiting cimport Watch
from pystack_c.tcp cimport user as tcp
from pystack_c.tcp.tcb cimport Tcb

cdef int _IN
cdef int _OUT
cdef int64_t _PIECE
cdef int _BUSY
cdef int _LOOSE

@cython.final
cdef class Turn:
    cdef public Stream stream
    cdef public object waiter
    cdef public Watch watch

@cython.final
cdef class Stream(Description):
    cdef public Tcb tcb
    cdef public bint connecting
    cdef public bint listening
    cdef public object bound_to
    cdef public uint64_t sender
    cdef public Turn turn
    cpdef bind(self, addr, port)
    cpdef listen(self, backlog)
    @cython.locals(endpoint=Tcb, deadline=object)
    cpdef accept(self, timeout)
    @cython.locals(host=SocketHost, now=int64_t)
    cdef _next(self)
    @cython.locals(done=object, limit=object)
    cpdef connect(self, addr, port, timeout)
    @cython.locals(state=int, code=int)
    cpdef _connect_result(self)
    @cython.locals(data=bytes, deadline=object)
    cpdef bytes recv(self, int64_t n, int flags, timeout)
    @cython.locals(host=SocketHost, now=int64_t)
    cdef bytes _take(self, int64_t n, int flags)
    @cython.locals(urgent=bytes, deadline=object, core_flags=int, parts=list, got=int64_t, data=bytes)
    cdef bytes _recv_flags(self, int64_t n, int flags, timeout)
    @cython.locals(told=object)
    cpdef recv_error(self)
    @cython.locals(took=int64_t)
    cpdef int64_t send(self, data, int flags, timeout) except -1
    @cython.locals(host=SocketHost, now=int64_t, took=int64_t)
    cdef int64_t _put(self, bytes data, int flags, int64_t left) except -1
    @cython.locals(host=SocketHost, turn=Turn)
    cdef _await_turn(self, timeout, deadline)
    cdef _end_turn(self)
    @cython.locals(taken=int64_t)
    cpdef int64_t send_to(self, bytes data, addr, port, int flags, timeout) except -1
    @cython.locals(deadline=object, sent=int64_t)
    cpdef sendall(self, data, int flags, timeout)
    @cython.locals(size=int64_t, sent=int64_t, told=bint, piece=object, these=int, took=int64_t)
    cdef int64_t _send(self, data, int flags, timeout, deadline, bint partial, bint began) except -1
    cpdef shutdown(self, how)
    cpdef getsockname(self)
    @cython.locals(endpoint=Tcb)
    cpdef getpeername(self)
    cpdef setsockopt(self, level, name, value)
    @cython.locals(value=object)
    cpdef getsockopt(self, level, name)
    cpdef unread(self)
    cpdef info(self)
    cpdef release(self)
    @cython.locals(unsent=tuple, host=SocketHost, end=int64_t)
    cpdef _linger(self, int64_t seconds)
    cpdef discard(self)
