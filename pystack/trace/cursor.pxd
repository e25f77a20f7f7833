cimport cython
from libc.stdint cimport uint64_t

cdef class ValueCursor:
    cdef public bytes data
    cdef public Py_ssize_t at
    cdef public Py_ssize_t end
    cdef public bint more
    cdef public Py_ssize_t values
    cdef public object time
    cpdef begin(self)
    cpdef missing(self, length, str what)
    @cython.locals(data="const unsigned char*")
    cpdef int byte(self) except -1
    @cython.locals(data="const unsigned char*", at=Py_ssize_t)
    cpdef object number(self, int bits=*)
    @cython.locals(data="const unsigned char*", at=Py_ssize_t, end=Py_ssize_t, low=uint64_t, byte=uint64_t, shift=int, value=object, part=object)
    cdef object _long(self, int bits)
    @cython.locals(value=object)
    cpdef object signed(self, int bits=*)
    @cython.locals(length=object, begin=Py_ssize_t, end=Py_ssize_t)
    cpdef object octets(self, Py_ssize_t most=*)
    cpdef object text(self)
    @cython.locals(count=object)
    cpdef Py_ssize_t count(self) except -1
    @cython.locals(found=list, code=Py_UCS4)
    cpdef list fields(self, str codes, object time)
    @cython.locals(tag=int, count=Py_ssize_t, _=Py_ssize_t, items=list, made=object, parts=object)
    cpdef object value(self, int depth=*)
    @cython.locals(found=dict, count=Py_ssize_t, _=Py_ssize_t, wrong=bint, key=object, item=object)
    cdef dict _dict(self, int depth)
