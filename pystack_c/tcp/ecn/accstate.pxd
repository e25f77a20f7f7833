cimport cython
from libc.stdint cimport int64_t

@cython.final
cdef class AccEcn:
    cdef public int syn
    cdef public bint again
    cdef public int answer
    cdef public bint counted
    cdef public bint respond
    cdef public bint skip
    cdef public bint first
    cdef public bint newer
    cdef public bint no_ect
    cdef public bint deaf
    cdef public int fail
    cdef public int last
    cdef public int last_data
    cdef public int switched
    cdef public int64_t unacked_ce
    cdef public int64_t per_ack
    cdef public int opt_seen
    cdef public bint opt_off
    cdef public int opt_due
    cdef public int opt_dups
    cdef public bint opt_last
    cdef public int64_t r_cep
    cdef public int64_t r_e0b
    cdef public int64_t r_ceb
    cdef public int64_t r_e1b
    cdef public int64_t s_cep
    cdef public int64_t s_e0b
    cdef public int64_t s_ceb
    cdef public int64_t s_e1b
    cdef public int64_t told_e0b
    cdef public int64_t told_ceb
    cdef public int64_t told_e1b
