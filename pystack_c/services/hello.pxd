cimport cython
from libc.stdint cimport int64_t
from pystack_c.services.base cimport StreamService, room, skip
from pystack_c.services.session cimport Session
from pystack_c.tcp cimport user
from pystack_c.tcp.tcb cimport Tcb

@cython.locals(head=str)
cpdef bytes response(str status, bytes body, str extra=*)
cpdef bytes refusal(str status)

cdef int _CR, _LF, _SPACE, _ZERO, _HOST, _BODY, _CLOSE, _KEEP

cdef class Hello(StreamService):
    cdef public bytes page
    cdef public bytes last_page
    cdef public bint closes
    @cython.locals(session=Session, data=bytes, end=Py_ssize_t, answer=bytes)
    cpdef work(self, Tcb tcb, int64_t now)
    cdef _incomplete(self, Tcb tcb, Py_ssize_t size, int64_t now)
    cpdef late(self, Tcb tcb, int64_t now)
    cdef _last(self, Tcb tcb, bytes answer, int64_t now)
    @cython.locals(begin=Py_ssize_t, line=Py_ssize_t, target=Py_ssize_t, version=Py_ssize_t, get=bint, close=bint, fields=int, page=bytes)
    cdef bytes _answer(self, bytes head, Py_ssize_t end)
    @cython.locals(found=int, stop=Py_ssize_t, value=bytes)
    cdef int _fields(self, bytes head, Py_ssize_t at, Py_ssize_t end) except -1

cdef Py_ssize_t find(bytes data, int byte, Py_ssize_t begin, Py_ssize_t end) except -1
cdef Py_ssize_t line_end(bytes data, Py_ssize_t begin, Py_ssize_t end) except -1
@cython.locals(size=Py_ssize_t, at=Py_ssize_t)
cpdef Py_ssize_t head_end(bytes data, Py_ssize_t begin) except? -1
@cython.locals(size=Py_ssize_t, i=Py_ssize_t, byte=int)
cdef bint begins(bytes data, Py_ssize_t begin, Py_ssize_t end, bytes word, bint fold) except -1
