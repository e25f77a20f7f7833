cimport cython

cpdef object error(int code)
