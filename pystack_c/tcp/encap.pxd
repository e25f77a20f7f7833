cimport cython
cimport pystack_c.const as C
from pystack_c.packet cimport Packet
from pystack_c.tcp.tcb cimport Tcb
from pystack_c.tcp.mss cimport have_route

cpdef use_encap(Tcb tcb, object encap)
@cython.locals(back=object, asked=bytes, why=str, fields=dict)
cpdef received_route(Tcb tcb, Packet pkt)
