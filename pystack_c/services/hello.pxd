cimport cython
from libc.stdint cimport int64_t
from pystack_c.services.base cimport StreamService, room
from pystack_c.tcp cimport user
from pystack_c.tcp.tcb cimport Tcb

@cython.locals(head=str)
cpdef bytes response(str status, bytes body, str extra=*)
cpdef bytes refusal(str status)

cdef class Hello(StreamService):
    cdef public bytes page
    cdef public bytes last_page
    @cython.locals(data=bytes, end=Py_ssize_t, answer=bytes, keep=bint)
    cpdef work(self, Tcb tcb, int64_t now)
    cdef _last(self, Tcb tcb, bytes answer, int64_t now)
    @cython.locals(at=Py_ssize_t, words=list, get=bint, fields=bytes, close=bint, begin=Py_ssize_t, value=bytes, page=bytes)
    cdef tuple _answer(self, bytes head)
