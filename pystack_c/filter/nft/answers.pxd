cimport cython
cimport pystack_c.const as C
from pystack_c.core cimport Core
from pystack_c.filter.nft.chains cimport FilterPackets
from pystack_c.filter.nft.statements cimport Statement
from pystack_c.filter.nft.view cimport View

@cython.final
cdef class Reject(Statement):
    cdef public FilterPackets packets
    cdef public bint reset
    cdef public int code

cdef class Log(Statement):
    cdef public FilterPackets packets
    cdef public str prefix
    cdef public str level
    cdef public int group
    @cython.locals(core=Core, fields=dict, subject=str)
    cpdef int run(self, View view) except -100
