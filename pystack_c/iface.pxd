cimport cython
from libc.stdint cimport int64_t, uint64_t
from pystack_c.base.address cimport addr_t, broadcast_of, length_of, prefix_mask

@cython.final
cdef class LocalAddr:
    cdef public addr_t addr
    cdef public int prefixlen
    cdef public addr_t mask
    cdef public addr_t broadcast
    cdef public Iface iface

@cython.final
cdef class Iface:
    cdef public int index
    cdef public str name
    cdef public int kind
    cdef public uint64_t mac
    cdef public int mtu
    cdef public bint up
    cdef public bint tx_csum
    cdef public int gso_max
    cdef public list addrs
    cdef public dict neighbors
    cdef public object asked
    cdef public object failed
    cdef public int64_t rx_frames
    cdef public int64_t rx_bytes
    cdef public int64_t tx_frames
    cdef public int64_t tx_bytes
    cdef public int64_t defended
    cdef public dict groups
    cdef public object igmp
    cdef public int vid
    cdef public Iface parent
    cdef public dict vlans
