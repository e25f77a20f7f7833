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
    cdef public HookItem following

@cython.final
cdef class Hooks:
    cdef public HookItem prerouting
    cdef public HookItem input
    cdef public HookItem forward
    cdef public HookItem output
    cdef public HookItem postrouting
    cdef public int attached
    cdef public int readers
    cpdef HookItem first(self, int place)
    cpdef begin(self, int place, object item)
    @cython.locals(found=list, item=HookItem)
    cpdef list items(self, int place)
    @cython.locals(item=HookItem, one=HookItem)
    cpdef put(self, int place, list items)

@cython.locals(hooks=Hooks, item=HookItem, verdict=int)
cpdef int verdict_of(Core core, int place, object iface, object packet) except -1
@cython.locals(verdict=int)
cdef int _ask(HookItem item, Core core, int place, object iface, object packet) except -1
@cython.locals(why=str)
cdef int _refused(Core core, int place, object iface, int verdict) except -1
@cython.locals(hooks=Hooks)
cpdef bint unread(Core core) except -1
@cython.locals(hooks=Hooks, item=HookItem)
cpdef attach(Core core, int place, object hook, int priority=*, bint first=*)
@cython.locals(hooks=Hooks, items=list, found=list, left=list)
cpdef detach(Core core, int place, object hook)
cdef tuple _order(HookItem item)
