cimport cython
cimport pystack_c.const as C
from pystack_c.core cimport Core

cdef class HookCall:
    cdef public bint reads
    cpdef int enter(self, Core core, int place, object iface, object packet) except -1

@cython.final
cdef class HookItem:
    cdef public int priority
    cdef public int order
    cdef public object hook
    cdef public HookCall call

@cython.final
cdef class Hooks:
    cdef public list places
    cdef public int attached
    cdef public int readers

cpdef bint passes(Core core, int place, object iface, object packet) except -1
@cython.locals(hooks=Hooks, items=list, one=object, item=HookItem, verdict=int, why=str)
cpdef int verdict_of(Core core, int place, object iface, object packet) except -1
@cython.locals(hooks=Hooks)
cpdef bint unread(Core core) except -1
@cython.locals(hooks=Hooks)
cpdef attach(Core core, int place, object hook, int priority=*, bint first=*)
@cython.locals(hooks=Hooks, found=list)
cpdef detach(Core core, int place, object hook)
cdef tuple _order(HookItem item)
cdef int _readers(Hooks hooks) except -1
