cimport cython
from libc.stdint cimport uint32_t

cpdef str addr_text(uint32_t addr)
