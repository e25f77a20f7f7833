cimport cython
cimport pystack_c.const as C
from pystack_c.core cimport Core
from pystack_c.filter.nft.chains cimport Packets
from pystack_c.filter.nft.statements cimport Statement
from pystack_c.filter.nft.view cimport View

cdef class Reject(Statement):
    cdef public Packets packets
    cdef public bint reset
    cdef public int code
    @cython.locals(core=Core, why=str, subject=object)
    cpdef int run(self, View view) except -100

cdef class Log(Statement):
    cdef public Packets packets
    cdef public str prefix
    cdef public str level
    cdef public int group
    @cython.locals(core=Core, fields=dict, subject=str)
    cpdef int run(self, View view) except -100
