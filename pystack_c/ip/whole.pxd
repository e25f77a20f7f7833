cimport cython
cimport pystack_c.const as C
from pystack_c.base.address cimport addr_t, from_bytes
from pystack_c.core cimport Core
from pystack_c.ip cimport output as ip_output
from pystack_c.link cimport neighbor
from pystack_c.packet cimport Outgoing
from pystack_c.route cimport Dst
from pystack_c.wire cimport ipv4 as wire

@cython.locals(hlen=Py_ssize_t, src=addr_t, daddr=addr_t, ident=int, frag=int, start=Py_ssize_t, out=Outgoing, verdict=int)
cpdef int send(Core core, Dst dst, bytes packet) except -1
