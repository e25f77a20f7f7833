cimport cython
from libc.stdint cimport int64_t, uint32_t
cimport pystack_c.const as C
from pystack_c.base.address cimport addr_t
from pystack_c.core cimport Core
from pystack_c.filter.nat_rules cimport NatRule
from pystack_c.filter.hooks cimport HookCall
from pystack_c.filter.nft.memos cimport recall, remember
from pystack_c.filter.nft.statements cimport Step, steps
from pystack_c.filter.nft.view cimport View
from pystack_c.packet cimport Outgoing

@cython.final
cdef class FilterRule:
    cdef public int64_t handle
    cdef public list statements
    cdef public Step first
    cdef public list expr
    cdef public object comment
    cdef public list uses
    cdef public tuple path
    cdef public bint wants_ct
    cdef public list nat_kinds
    cdef public bint queues
    cdef public bint rejects
    cdef public list confined

cdef class Chain(HookCall):
    cdef public object table
    cdef public str name
    cdef public int64_t handle
    cdef public list rules
    cdef public str kind
    cdef public int place
    cdef public int64_t priority
    cdef public int policy
    cdef public FilterPackets packets
    cdef public NatRule chosen
    cdef public object comment
    cdef public int64_t order
    @cython.locals(view=View, verdict=int, packets=FilterPackets, arrived=bint)
    cpdef int enter(self, Core core, int place, object iface, object packet) except -1
    @cython.locals(mark=uint32_t, src=addr_t, dst=addr_t, tos=int, verdict=int)
    cdef int _run_route(self, View view, Outgoing out) except -100
    @cython.locals(view=View, verdict=int, packets=FilterPackets)
    cpdef int bind(self, Core core, int place, object iface, object packet) except -1
    @cython.locals(rules=list, stack=list, chain=Chain, at=Py_ssize_t, count=Py_ssize_t, rule=FilterRule, verdict=int, step=Step)
    cpdef int run(self, View view) except -100
    @cython.locals(rule=FilterRule, name=str, where=str, why=str)
    cdef int _refused(self, Core core, View view) except -1

@cython.final
cdef class FilterPackets:
    cdef public Core core
    cdef public list views
    cdef public View outer
    cdef public int depth
    cdef public int64_t epoch
    cdef public object log
    cdef public int64_t logged
    cdef public object helper
    cdef public object queues
    @cython.locals(found=View, depth=int)
    cpdef View view(self)

@cython.final
cdef class Beginning(HookCall):
    cdef FilterPackets packets
    cdef leaves(self, Outgoing out)

@cython.locals(text=str)
cpdef str verdict_text(int verdict, object target)
@cython.locals(fields=dict, core=Core)
cdef _trace(View view, Chain chain, FilterRule rule, int verdict, str why)
