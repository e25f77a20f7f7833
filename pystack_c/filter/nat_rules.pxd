cimport cython
from libc.stdint cimport int64_t, uint64_t
cimport pystack_c.const as C
from pystack_c.base.address cimport addr_t, addr_text, key
from pystack_c.base.rng cimport Rng
from pystack_c.base.seqnum cimport seq_gt
from pystack_c.core cimport Core
from pystack_c.filter.conntrack_table cimport Conntrack
from pystack_c.filter.flow cimport Tracked, Half
from pystack_c.iface cimport Iface

@cython.final
cdef class Range:
    cdef public addr_t low
    cdef public addr_t high
    cdef public int port_low
    cdef public int port_high
    cdef public bint fully_random
    cdef public bint persistent

@cython.final
cdef class NatRule:
    cdef public int action
    cdef public Range choice
    cdef public Iface iface
    cdef public int proto
    cdef public addr_t src
    cdef public addr_t src_mask
    cdef public addr_t dst
    cdef public addr_t dst_mask
    cdef public int port_low
    cdef public int port_high
    cdef public int64_t packets
    cdef public object service
    cpdef bint matches(self, Iface iface, Half half) except -1

cpdef bint in_prefix(addr_t number, addr_t prefix, addr_t mask) noexcept

@cython.final
cdef class Mapping:
    cdef public object entries
    cdef public dict peers
    cpdef Tracked newest(self)

@cython.final
cdef class Nat:
    cdef public Core core
    cdef public list rules
    cdef public list chains
    cdef public dict internal
    cdef public dict external
    cdef public Half work
    cdef public Half answer
    cdef public Half shown
    cdef object _key(self, addr_t addr, int port, int proto)
    @cython.locals(mapping=Mapping, entry=Tracked, half=Half)
    cpdef Mapping find_internal(self, addr_t src, int sport, int proto)
    @cython.locals(mapping=Mapping, entry=Tracked, half=Half)
    cpdef Mapping find_external(self, addr_t addr, int port, int proto)
    @cython.locals(half=Half)
    cpdef hold(self, Tracked entry)
    @cython.locals(half=Half)
    cpdef release(self, Tracked entry)
    @cython.locals(mapping=Mapping, name=object)
    cdef _add(self, dict table, object place, Tracked entry, addr_t peer)
    @cython.locals(mapping=Mapping, name=object, left=object)
    cdef _take(self, dict table, object place, Tracked entry, addr_t peer)
    @cython.locals(ct=Conntrack, mapping=Mapping, old=Half, holder=Tracked)
    cpdef bint used(self, Half half, Tracked entry, bint source) except -1
    @cython.locals(ct=Conntrack, answer=Half, found=Half, old=Tracked)
    cdef bint _used_harder(self, Half half, Tracked entry, bint source) except -1
    @cython.locals(old=Half, mapping=Mapping, single=bint)
    cpdef bint choose(self, Tracked entry, Half half, Range choice, bint source) except -1
    @cython.locals(src=addr_t, sport=int, shown=Half, left=int, item=object, other=Tracked)
    cdef bint _reuse(self, Tracked entry, Half half, Range choice, Mapping mapping) except -1
    @cython.locals(number=addr_t, count=addr_t, other=addr_t, same=bint)
    cdef _choose_address(self, Half half, Range choice, bint source)
    @cython.locals(low=int, size=int, rng=Rng, at=int64_t, attempts=int, i=int, port=int, taken=bint)
    cdef bint _choose_port(self, Tracked entry, Half half, Range choice, bint source) except -1

@cython.locals(number=addr_t, port=int)
cpdef bint in_range(Half half, Range choice, bint source) except -1
@cython.locals(text=str)
cpdef str range_text(Range choice)
