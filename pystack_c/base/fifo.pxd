cimport cython
cimport pystack_c.const as C

cdef extern from *:
    """
    /* Puts an item into a list and returns the one that was there. Cython's own assignment is a function that asks for the type
       of the list, and another reference to the old item would be made and dropped. */
    static inline PyObject *pystack_exchange(PyObject *slots, Py_ssize_t at, PyObject *item)
    {
        PyObject *old = PyList_GET_ITEM(slots, at);
        Py_INCREF(item);
        PyList_SET_ITEM(slots, at, item);
        return old;
    }
    """
    object exchange "pystack_exchange" (list slots, Py_ssize_t at, object item)

@cython.final
cdef class Fifo:
    cdef public list slots
    cdef public Py_ssize_t mask
    cdef public Py_ssize_t head
    cdef public Py_ssize_t count
    @cython.locals(at=Py_ssize_t)
    cpdef append(self, object item)
    cdef _grow(self)
    cpdef object first(self)
    cpdef clear(self)
    @cython.locals(at=Py_ssize_t, item=object)
    cpdef object popleft(self)
