cimport cython
from pystack_c.packet cimport Transmit
from pystack_c.stack cimport Stack

cdef class Host:
    cdef public Stack stack
    cdef public object name
    cdef public object recorder
