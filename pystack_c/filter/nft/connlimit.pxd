cimport cython
from libc.stdint cimport int64_t
cimport pystack_c.const as C
from pystack_c.filter.flow cimport Tracked
from pystack_c.filter.nft.statements cimport Statement
from pystack_c.filter.nft.view cimport View

cdef class ConnLimit(Statement):
    cdef public int64_t most
    cdef public bint over
    cdef public int64_t count
    cdef public list fresh
    @cython.locals(entry=Tracked, count=int64_t)
    cpdef int run(self, View view) except -100
    @cython.locals(left=list, item=object, entry=Tracked)
    cpdef settle(self, Tracked current)
    cpdef gone(self)
