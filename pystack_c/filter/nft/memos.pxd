cimport cython
from libc.stdint cimport int64_t, uint32_t
cimport pystack_c.const as C
from pystack_c.base.address cimport addr_t
from pystack_c.core cimport Core
from pystack_c.filter.conntrack_table cimport Conntrack
from pystack_c.filter.flow cimport Half, Tracked
from pystack_c.filter.nft.statements cimport Counter, Step
from pystack_c.filter.nft.view cimport View
from pystack_c.iface cimport Iface
from pystack_c.packet cimport Packet

@cython.final
cdef class Hit:
    cdef public Counter counter
    cdef public Hit following

@cython.final
cdef class Memo:
    cdef public object chain
    cdef public Memo following
    cdef public int64_t epoch
    cdef public bint holds
    cdef public addr_t src
    cdef public addr_t dst
    cdef public int64_t ports
    cdef public Iface iif
    cdef public Iface oif
    cdef public Hit first

@cython.locals(ct=Conntrack, entry=Tracked)
cdef Half _half(Core core, View view, Packet pkt)
@cython.locals(p="const unsigned char*", at=Py_ssize_t, high=int64_t)
cdef int64_t _ports(Packet pkt) except -1
@cython.locals(memo=Memo)
cdef Memo _memo(Half half, object chain)
@cython.locals(ct=Conntrack, memo=Memo, hit=Hit)
cpdef bint recall(Core core, object chain, int64_t epoch, View view, int place, object iface, Packet pkt) except -1
@cython.locals(half=Half, memo=Memo, count=int)
cpdef remember(Core core, object chain, list rules, bint accepts, int64_t epoch, View view, Packet pkt)
@cython.locals(rule=object, step=Step, verdict=int)
cdef bint _walk(Memo memo, list rules, bint accepts, View view) except -1
