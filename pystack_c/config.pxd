cimport cython
from pystack_c.settings.quirks cimport QuirkSettings

@cython.final
cdef class Config(QuirkSettings):
    pass
