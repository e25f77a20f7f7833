cimport cython
from libc.stdint cimport int64_t
cimport pystack_c.const as C
from pystack_c.config cimport Config
from pystack_c.counters cimport Counters
from pystack_c.base.fifo cimport Fifo
from pystack_c.iface cimport Iface, LocalAddr
from pystack_c.packet cimport Outgoing, Packet, Transmit
from pystack_c.base.ratelimit cimport PeerBuckets, SharedBudget
from pystack_c.base.rng cimport Rng
from pystack_c.base.timer cimport Timer, TimerOwner, TimerQueue
from pystack_c.base.address cimport addr_t, is_loopback, is_v6, key, loopback_for

cdef class Core:
    cdef public Config config
    cdef public str name
    cdef public object seed
    cdef public int64_t now
    cdef public Rng rng
    cdef public TimerQueue timers
    cdef public Counters counters
    cdef public Packet packet
    cdef public Outgoing out
    cdef public object probe
    cdef public list ifaces
    cdef public dict local
    cdef public object routes
    cdef public int64_t next_ident
    cdef public dict endpoints
    cdef public Fifo txq
    cdef public Fifo loopq
    cdef public Fifo output_queue
    cdef public Fifo events
    cdef public Fifo service_queue
    cdef public object tcp
    cdef public object udp
    cdef public object raw
    cdef public object tunnel
    cdef public object reasm
    cdef public bytearray scratch
    cdef public int64_t route_epoch
    cdef public Fifo error_queue
    cdef public SharedBudget icmp_budget
    cdef public PeerBuckets icmp_peers
    cdef public dict acd
    cdef public object resolver
    cdef public Iface lo
    cdef public dict dst_cache
    cdef public list latest
    cdef public int route_error
    cdef public object policy
    cdef public object redirects
    cdef public object redirected
    cdef public object hooks
    cdef public object conntrack
    cdef public object nat
    cdef public object nftables
    cdef public object mrouter
    cdef public list accepted
    cdef public int64_t port_counter
    cdef public int64_t tcp_memory
    cdef public bint tcp_pressure
    cdef public int64_t tcp_pressure_at
    cdef public dict tcp_peers
    cdef public int tcp_large
    cdef public int64_t tcp_reclaimed
    cdef public int64_t tcp_orphans
    cdef void _no_routes(self) noexcept
    cdef void _no_filter(self) noexcept
    @cython.locals(iface=Iface, fields=dict)
    cpdef transmit(self, Transmit tx)
    cpdef _tag(self, Iface iface, Transmit tx)
    @cython.locals(ident=int64_t)
    cpdef int64_t new_ident(self) except -1
    cpdef bint speaks(self, addr_t addr) noexcept
    @cython.locals(found=LocalAddr)
    cpdef LocalAddr local_addr(self, addr_t addr)
    cpdef bint proxies(self, Iface iface, addr_t addr, addr_t src) except -1
    cpdef drop(self, str name, str subject, str reason, str rfc)
    cpdef set_timer(self, Timer timer, int64_t deadline, str why, str rfc)
    @cython.locals(told=bint)
    cpdef cancel_timer(self, Timer timer, str why, str rfc)
    cpdef stop_timer(self, Timer timer, str why, str rfc)
    @cython.locals(owner=TimerOwner, fields=dict)
    cpdef tell_timer(self, str kind, Timer timer, str why, str rfc)
    @cython.locals(event=object, probe=object, about=object)
    cpdef emit(self, str kind, str subject, int64_t endpoint, str reason, str rfc, dict fields, before=*, after=*)
