cimport cython
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy
cimport pystack_c.const as C
from pystack_c.core cimport Core
from pystack_c.counters cimport Counters
from pystack_c.iface cimport Iface, LocalAddr
from pystack_c.packet cimport Outgoing, Transmit, new_transmit
from pystack_c.route cimport Dst
from pystack_c.base.timer cimport Timer, TimerOwner
from pystack_c.wire cimport ethernet
from pystack_c.base.address cimport addr_t, addr_text, key

cdef int _VALID

cdef class NeighborEntry(TimerOwner):
    cdef public Core core
    cdef public Iface iface
    cdef public addr_t addr
    cdef public int state
    cdef public uint64_t mac
    cdef public bytes header
    cdef public int64_t confirmed
    cdef public int64_t updated
    cdef public int64_t used
    cdef public int probes
    cdef public object queue
    cdef public int64_t queued
    cdef public Timer timer
    @cython.locals(core=Core)
    cpdef on_timer(self, int kind)

cdef class Resolver:
    cpdef solicit(self, Core core, NeighborEntry entry)

@cython.locals(old=int, fields=dict)
cpdef set_state(Core core, NeighborEntry entry, int state, str reason, str rfc)
@cython.locals(iface=Iface)
cdef _keep_lists(NeighborEntry entry, int old, int state)
cdef _set_mac(NeighborEntry entry, uint64_t mac)
@cython.locals(tx=Transmit, waiting=object)
cdef _failed(Core core, NeighborEntry entry, str reason, str rfc)
@cython.locals(resolver=Resolver, why=str)
cdef ask(Core core, NeighborEntry entry)
cpdef bint has_mac(NeighborEntry entry) noexcept
@cython.locals(own=LocalAddr)
cpdef addr_t source_for(Iface iface, addr_t addr) except? 0xFFFFFFFF
cpdef NeighborEntry lookup(Core core, Iface iface, addr_t addr)
@cython.locals(entry=NeighborEntry)
cpdef NeighborEntry create(Core core, Iface iface, addr_t addr)
@cython.locals(oldest=NeighborEntry, entry=NeighborEntry, before=int64_t)
cdef bint _make_room(Core core, Iface iface) except -1
cdef bint _gives_way(NeighborEntry entry, NeighborEntry other) noexcept
cdef bint _drop_unresolved(Core core, Iface iface) except -1
@cython.locals(_tx=Transmit)
cpdef remove(Core core, NeighborEntry entry)
@cython.locals(entry=NeighborEntry)
cpdef NeighborEntry set_permanent(Core core, Iface iface, addr_t addr, uint64_t mac)
cpdef int current_state(NeighborEntry entry, int64_t now) except? -1
@cython.locals(core=Core)
cpdef confirm(NeighborEntry entry)
@cython.locals(iface=Iface, entry=NeighborEntry)
cpdef bytes ready_header(Core core, Dst dst)
@cython.locals(dst=Dst, iface=Iface, entry=NeighborEntry, header=bytes, reason=str)
cpdef output(Core core, Outgoing out, Py_ssize_t start, Py_ssize_t end)
cdef void count_out(Counters counters, int kind, int64_t n) noexcept
@cython.locals(q="unsigned char*", h="const unsigned char*")
cdef void _prepend(bytearray scratch, Py_ssize_t off, bytes header) noexcept
@cython.locals(p="const unsigned char*", tx=Transmit)
cpdef transmit(Core core, Iface iface, Outgoing out, Py_ssize_t start, Py_ssize_t end)
cdef void _offload(Transmit tx, Outgoing out, Py_ssize_t start, Py_ssize_t end) noexcept
@cython.locals(why=str)
cdef _use_stale(Core core, NeighborEntry entry)
@cython.locals(payload=bytes, subject=str, tx=Transmit, old=Transmit, fields=dict, iface=Iface)
cdef _enqueue(Core core, NeighborEntry entry, Outgoing out, Py_ssize_t start, Py_ssize_t end)
@cython.locals(waiting=object, tx=Transmit)
cdef _flush(Core core, NeighborEntry entry)
@cython.locals(changed=bint, known=bint, asked=bint)
cpdef update(Core core, NeighborEntry entry, uint64_t mac, bint solicited)
