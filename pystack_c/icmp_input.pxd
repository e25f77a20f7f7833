cimport cython
cimport pystack_c.const as C
from pystack_c cimport icmpv4
from pystack_c.core cimport Core
from pystack_c.iface cimport Iface
from pystack_c.neighbor cimport addr_text
from pystack_c.packet cimport Packet
from pystack_c.wire cimport icmpv4 as wire

@cython.locals(subject=str, code=int, fields=dict)
cpdef input(Core core, Iface iface, Packet pkt)
