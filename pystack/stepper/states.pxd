cimport cython
cimport pystack_c.const as C

cdef Py_ssize_t _BLOCK

cdef class States:
    cdef public dict now
    cdef public list key_at
    cdef public list keys
    cdef public object deltas
    cdef public list tail
    cdef public Py_ssize_t total
    cdef public Py_ssize_t since
    cdef public object _index
    cdef public dict _state
    cdef public object _undo
    @cython.locals(index=Py_ssize_t)
    cpdef event(self)
    @cython.locals(old=tuple, places=list)
    cpdef put(self, int number, tuple values)
    cpdef remove(self, int number)
    @cython.locals(row=list)
    cdef _add(self, int number, tuple delta)

@cython.locals(places=list, place=Py_ssize_t, value=object, before=object)
cdef list _differences(tuple old, tuple new)
