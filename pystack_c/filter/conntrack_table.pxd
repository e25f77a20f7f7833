cimport cython
from libc.stdint cimport int64_t, uint64_t
cimport pystack_c.const as C
from pystack_c.base.address cimport addr_t, addr_text
from pystack_c.core cimport Core
from pystack_c.filter cimport conntrack_tcp
from pystack_c.filter.flow cimport Tracked, Half, Seen, Side, TcpTrack
from pystack_c.wire.rewrite cimport Quoted

cdef str _LINUX
cdef bint _is_query(int icmp_type) noexcept

@cython.final
cdef class Conntrack:
    cdef public Core core
    cdef public list places
    cdef public Py_ssize_t mask
    cdef public Py_ssize_t split
    cdef public int64_t count
    cdef public Py_ssize_t halves
    cdef public int64_t next_ident
    cdef public object unassured
    cdef public Tracked entry
    cdef public Tracked pending
    cdef public int pending_direction
    cdef public int direction
    cdef public int state
    cdef public str why
    cdef public bint untracked
    cdef public bint uncounted
    cdef public bint attach
    cdef public int fragment_size
    cdef public list fragment_sizes
    cdef public Seen seen
    cdef public Quoted quoted
    cdef public Half inner_half
    cdef public Half spare_half
    cdef public Side spare
    @cython.locals(place=Py_ssize_t)
    cpdef Py_ssize_t place_of(self, uint64_t hashed) except -1
    @cython.locals(hashed=uint64_t, half=Half)
    cpdef Half find(self, addr_t src, int sport, addr_t dst, int dport, int proto)
    @cython.locals(found=Half)
    cpdef bint taken(self, Half half, Tracked ignore) except -1
    @cython.locals(place=Py_ssize_t)
    cdef _insert(self, Half half)
    @cython.locals(half=Half, following=Half, place=Py_ssize_t)
    cdef _grow(self)
    @cython.locals(place=Py_ssize_t, other=Half)
    cdef _remove(self, Half half)
    @cython.locals(found=dict, half=Half)
    cpdef list all(self)
    cpdef refresh(self, Tracked entry, int64_t timeout, str why)
    @cython.locals(fields=dict)
    cpdef assure(self, Tracked entry, str why)
    @cython.locals(core=Core)
    cpdef destroy(self, Tracked entry, str why)
    @cython.locals(entry=Tracked)
    cpdef bint make_room(self) except -1
    @cython.locals(entry=Tracked)
    cpdef Tracked begin(self, Seen seen)
    @cython.locals(core=Core, half=Half, fields=dict, why=str)
    cpdef bint confirm(self, Tracked entry) except -1
