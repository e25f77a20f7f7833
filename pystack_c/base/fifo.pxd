cimport cython

@cython.final
cdef class Fifo:
    cdef public list slots
    cdef public Py_ssize_t head
    cdef public Py_ssize_t count
    @cython.locals(size=Py_ssize_t)
    cpdef append(self, object item)
    cpdef object first(self)
    cpdef clear(self)
    @cython.locals(item=object)
    cpdef object popleft(self)
