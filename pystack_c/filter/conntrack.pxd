cimport cython
from libc.stdint cimport uint32_t
cimport pystack_c.const as C
from pystack_c.base.address cimport addr_t
from pystack_c.core cimport Core
from pystack_c.filter cimport conntrack_states, conntrack_tcp
from pystack_c.filter.conntrack_table cimport Conntrack
from pystack_c.filter.flow cimport Tracked, Half, Seen, answer_to
from pystack_c.filter.hooks cimport HookCall, attach, detach
from pystack_c.iface cimport Iface
from pystack_c.packet cimport Outgoing, Packet
from pystack_c.wire cimport checksum, rewrite
from pystack_c.wire.rewrite cimport Quoted

cdef bint _is_error(int icmp_type) noexcept
@cython.locals(ct=Conntrack, seen=Seen, pkt=Packet, out=Outgoing, verdict=int)
cpdef int track(Core core, int place, Iface iface, object packet) except -1
@cython.locals(fields=dict)
cdef _tell_invalid(Core core, Conntrack ct, Seen seen)
cdef bint _set_apart(Conntrack ct) except -1
@cython.locals(half=Half, other=Half)
cdef _resume(Conntrack ct, Seen seen)
cdef int _state_of(Tracked entry, int direction) noexcept
@cython.locals(half=Half, entry=Tracked, direction=int, result=int, way=Half, why=str, _=int)
cdef int _assign(Core core, Conntrack ct, Seen seen) except -1
@cython.locals(why=str)
cdef int _full(Core core, Seen seen) except -1
@cython.locals(fields=dict)
cdef _replied(Core core, Tracked entry)
@cython.locals(size=Py_ssize_t, proto=int, p="const unsigned char*", why=str, length=int, acc=uint32_t)
cdef str _error(Core core, Seen seen)
@cython.locals(quoted=Quoted, inner=Half, other=Half, p="const unsigned char*", at=Py_ssize_t, sport=int, dport=int, half=Half)
cdef _related(Core core, Conntrack ct, Seen seen)
@cython.locals(entry=Tracked, old=Half, new=Half)
cdef bint _about_current(Conntrack ct, Half inner) except -1
@cython.locals(ct=Conntrack, entry=Tracked, why=str)
cpdef int confirm(Core core) except -1

@cython.final
cdef class Tracker(HookCall):
    pass

@cython.final
cdef class Confirmer(HookCall):
    pass

cdef Tracker _TRACKER
cdef Confirmer _CONFIRMER
cpdef enable(Core core)
@cython.locals(ct=Conntrack, entry=Tracked)
cpdef disable(Core core)
