cimport cython
cimport pystack_c.const as C
from pystack_c.base.address cimport addr_t, addr_text, key
from pystack_c.core cimport Core
from pystack_c.filter cimport conntrack, translate
from pystack_c.filter.conntrack_table cimport Conntrack
from pystack_c.filter.flow cimport Tracked, Half
from pystack_c.filter.hooks cimport HookCall, attach, detach
from pystack_c.filter.nat_rules cimport Mapping, Nat, Range, NatRule, in_prefix
from pystack_c.iface cimport Iface
from pystack_c.link cimport neighbor
from pystack_c.packet cimport Outgoing

cdef Range _KEEP

cpdef int destination(Core core, int place, Iface iface, object packet) except -1
cpdef int source(Core core, int place, Iface iface, object packet) except -1
@cython.locals(ct=Conntrack, entry=Tracked, arrived=bint, done=int, verdict=int, why=str)
cdef int _pass(Core core, int place, Iface iface, object packet, bint of_source) except -1
@cython.locals(nat=Nat, half=Half, old=Half, rule=NatRule, choice=Range, why=str, changed=bint, addr=addr_t, port=int, fields=dict, chain=object, verdict=int)
cdef int _bind(Core core, Tracked entry, int place, Iface iface, object packet, bint of_source) except -1
@cython.locals(rule=NatRule, item=object)
cdef NatRule _rule_for(Nat nat, int place, Iface iface, Half half, bint of_source)
@cython.locals(choice=Range, addr=addr_t, out=Outgoing, server=object)
cdef Range _choice(NatRule rule, Tracked entry, int place, Iface iface, object packet)
@cython.locals(port=int, mapping=Mapping, inner=Half)
cdef Range _open_mapping(Core core, Nat nat, Half half)
@cython.final
cdef class Translator(HookCall):
    cdef bint of_source

cdef Translator _DESTINATION, _SOURCE
cpdef enable(Core core)
@cython.locals(ct=Conntrack, entry=Tracked)
cpdef disable(Core core)
@cython.locals(nat=Nat, allowed=dict)
cpdef add_rule(Core core, int place, NatRule rule)
@cython.locals(ct=Conntrack, entry=Tracked)
cpdef address_gone(Core core, Iface iface, addr_t addr)
