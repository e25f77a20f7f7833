cimport cython
from libc.stdint cimport int64_t, uint32_t
cimport pystack_c.const as C
from pystack_c.ip cimport icmpv4
from pystack_c.core cimport Core
from pystack_c.filter.conntrack_table cimport Conntrack
from pystack_c.iface cimport Iface
from pystack_c.base.address cimport addr_text
from pystack_c.packet cimport Packet
from pystack_c.base.timer cimport Timer, TimerOwner
from pystack_c.wire cimport ipv4 as wire

@cython.final
cdef class Fragment:
    cdef public Py_ssize_t start
    cdef public Py_ssize_t end
    cdef public bytes data

cdef class Fragments(TimerOwner):
    cdef public Core core
    cdef public Iface iface
    cdef public tuple key
    cdef public list pieces
    cdef public Py_ssize_t total
    cdef public Py_ssize_t covered
    cdef public int64_t held
    cdef public bytes first
    cdef public int ecn
    cdef public int largest
    cdef public bint poisoned
    cdef public Timer timer
    @cython.locals(core=Core, why=str, pkt=Packet)
    cpdef on_timer(self, int kind)

@cython.final
cdef class Reassembly:
    cdef public dict table
    cdef public int64_t held
    cdef public int largest
    cdef public list sizes

cpdef int load(Packet pkt, bytes packet) except -100
@cython.locals(size=Py_ssize_t, all_=Reassembly, key=tuple, frags=Fragments, fields=dict, why=str)
cpdef bint input(Core core, Iface iface, Packet pkt) except -1
cdef bint _refuse(Core core, Packet pkt, str name, str reason) except -1
@cython.locals(start=Py_ssize_t, end=Py_ssize_t, total=Py_ssize_t, i=Py_ssize_t, piece=Fragment, cost=int64_t, all_=Reassembly)
cdef bint _insert(Core core, Fragments frags, Packet pkt, Py_ssize_t size) except -1
@cython.locals(low=Py_ssize_t, high=Py_ssize_t, middle=Py_ssize_t, piece=Fragment)
cdef Py_ssize_t _place(list pieces, Py_ssize_t start) except -1
@cython.locals(all_=Reassembly)
cdef _release(Core core, Fragments frags)
@cython.locals(all_=Reassembly)
cdef _forget(Core core, Fragments frags, str why)
@cython.locals(all_=Reassembly)
cdef bint _poison(Core core, Fragments frags, str name, str reason) except -1
@cython.locals(all_=Reassembly, oldest=Fragments)
cdef _make_room(Core core)
@cython.locals(hlen=Py_ssize_t, head=bytearray, tos=int, parts=list, item=object, piece=Fragment, ident=int, kind=int, group=bint, subject=str, fields=dict, all_=Reassembly)
cdef bint _complete(Core core, Fragments frags, Packet pkt) except -1
@cython.locals(tracked=Conntrack, all_=Reassembly)
cpdef bint whole(Core core, Iface iface, Packet pkt) except -1
