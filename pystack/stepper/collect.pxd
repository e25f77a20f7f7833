cimport cython
cimport pystack_c.const as C
from libc.stdint cimport int64_t
from pystack.stepper.states cimport States
from pystack_c.base.timer cimport Timer
from pystack_c.core cimport Core
from pystack_c.tcp.shown cimport shown
from pystack_c.tcp.tcb cimport Tcb

cdef int _HOST
cdef int _KIND
cdef int _FIELDS
cdef int _FRAME
cdef int _CONN
cdef Py_ssize_t _MOST_EVENTS
cdef Py_ssize_t _MOST_FRAMES

cdef class HostState:
    cdef public int number
    cdef public bint box
    cdef public object clock
    cdef public Core stack
    cdef public object summarizer
    cdef public Py_ssize_t frame
    cdef public list announced
    cdef public list cause
    cdef public dict kinds
    @cython.locals(kind=object, one=object)
    cpdef int kind(self, str iface) except -1

cdef class Collector:
    cdef public object events
    cdef public object frames
    cdef public list rows
    cdef public Py_ssize_t packed
    cdef public list frame_rows
    cdef public Py_ssize_t frames_packed
    cdef public States states
    cdef public object ways
    cdef public object flights
    cdef public dict hosts
    cdef public list names
    cdef public list objects
    cdef public dict numbers
    cdef public list subjects
    cdef public dict by_subject
    cdef public list calls
    cdef public dict touched
    cdef public dict arps
    cdef public object frame_events
    cdef public dict rounds
    cdef public list targets
    cdef public int64_t record
    cdef public int64_t data
    cdef public bint outside
    cdef public Py_ssize_t began
    @cython.locals(heap=list, tcb=object, endpoint=object)
    cpdef before(self, int number, Core stack, int64_t now)
    @cython.locals(timer=Timer)
    cdef _due(self, int number, list heap, Py_ssize_t at, int64_t now)
    cdef _touch(self, int number, owner)
    @cython.locals(key=tuple, number=object)
    cdef int _object(self, int host, str what, object ident, object value) except -1
    @cython.locals(number=int, entry=object, frames=Py_ssize_t)
    cpdef after(self, int64_t record)
    @cython.locals(row=list, event=object, result=object)
    cdef _returned(self)
    @cython.locals(number=int, tcb=Tcb, host=HostState)
    cdef _settle(self)
    @cython.locals(una=int64_t, nxt=int64_t, target=int64_t)
    cdef _put(self, int number, Tcb tcb, Py_ssize_t index)
    @cython.locals(known=str, subject=str)
    cdef _name(self, int number, Tcb tcb)
    @cython.locals(host=HostState, kind=str, index=Py_ssize_t, conn=int, row=list)
    cpdef event(self, object event)
    @cython.locals(ident=object, endpoint=object, tcb=Tcb, number=int, first=list)
    cdef int _conn(self, HostState host, object event, Py_ssize_t index) except? -1
    @cython.locals(fields=dict, iface=str, data=bytes, gso=object, kind=int, number=Py_ssize_t, announced=list, conn=int, told=Py_ssize_t, other=list, to=object, why=tuple)
    cdef _frame_out(self, HostState host, object event, Py_ssize_t index, list row)
    @cython.locals(fields=dict, iface=str, data=bytes, kind=int, due=object, number=Py_ssize_t)
    cdef _frame_in(self, HostState host, object event, Py_ssize_t index, list row)
    @cython.locals(summary=object, length=Py_ssize_t, sender=int)
    cdef _add(self, object time, HostState host, str iface, bytes data, int kind, object gso, tuple why, Py_ssize_t event, object to, bint outside, int conn)

@cython.locals(value=object)
cpdef dict plain_fields(dict fields)
