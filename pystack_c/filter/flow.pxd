cimport cython
from libc.stdint cimport int64_t, uint32_t, uint64_t
cimport pystack_c.const as C
from pystack_c.base.address cimport addr_t, addr_text
from pystack_c.base.timer cimport Timer, TimerOwner
from pystack_c.core cimport Core
from pystack_c.iface cimport Iface
from pystack_c.packet cimport Outgoing, Packet

@cython.final
cdef class Half:
    cdef public Tracked entry
    cdef public int direction
    cdef public addr_t src
    cdef public addr_t dst
    cdef public int proto
    cdef public int sport
    cdef public int dport
    cdef public uint64_t hash
    cdef public Half next
    cdef public int64_t packets
    cdef public int64_t octets
    cdef public object memo
    cpdef set(self, addr_t src, int sport, addr_t dst, int dport, int proto)
    cpdef mirror(self, Half other)
    cpdef str text(self)

@cython.locals(found=object)
cpdef int answer_to(int query) except? -1

@cython.final
cdef class Side:
    cdef public uint32_t end
    cdef public uint32_t maxend
    cdef public int64_t maxwin
    cdef public uint32_t maxack
    cdef public int scale
    cdef public int flags
    cpdef clear(self)

@cython.final
cdef class TcpTrack:
    cdef public int state
    cdef public Side original
    cdef public Side reply
    cdef public int last_index
    cdef public int last_dir
    cdef public uint32_t last_seq
    cdef public uint32_t last_ack
    cdef public uint32_t last_end
    cdef public int64_t last_win
    cdef public int last_scale
    cdef public int last_flags
    cdef public int retrans
    cpdef Side side(self, int direction)

@cython.final
cdef class Tracked(TimerOwner):
    cdef public Core core
    cdef public int64_t ident
    cdef public Half original
    cdef public Half reply
    cdef public int status
    cdef public int64_t timeout
    cdef public Timer timer
    cdef public TcpTrack tcp
    cdef public int64_t stream_at
    cdef public uint32_t mark
    cdef public Iface masquerade
    cdef public bint mapped
    cdef public object server
    cdef public list limits
    cpdef Half half(self, int direction)
    @cython.locals(server=object)
    cpdef leave(self)
    cpdef bint counts_for(self, object limit) except -1
    cpdef count_for(self, object limit)
    @cython.locals(limits=list, limit=object)
    cpdef uncount(self)

@cython.final
cdef class Seen:
    cdef public bytes data
    cdef public Py_ssize_t at
    cdef public Py_ssize_t end
    cdef public Py_ssize_t size
    cdef public Py_ssize_t length
    cdef public bint fragment
    cdef public bint verified
    cdef public addr_t src
    cdef public addr_t dst
    cdef public int proto
    cdef public int sport
    cdef public int dport
    cpdef of_packet(self, Packet pkt)
    @cython.locals(data=bytes)
    cpdef of_outgoing(self, Core core, Outgoing out)
    @cython.locals(p="const unsigned char*", at=Py_ssize_t)
    cpdef ports(self)
    @cython.locals(name=object)
    cpdef str subject(self)
