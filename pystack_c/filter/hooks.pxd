cimport cython
from pystack_c.core cimport Core

@cython.final
cdef class Hooks:
    cdef public list places
    cdef public int attached

cpdef bint passes(Core core, int place, object iface, object packet) except -1
@cython.locals(hooks=Hooks, item=tuple, verdict=int, why=str)
cpdef int verdict_of(Core core, int place, object iface, object packet) except -1
@cython.locals(hooks=Hooks)
cpdef attach(Core core, int place, object hook, int priority=*, bint first=*)
@cython.locals(hooks=Hooks, found=list)
cpdef detach(Core core, int place, object hook)
cdef tuple _order(tuple item)
