cimport cython
cimport pystack_c.const as C
from pystack_c.core cimport Core
from pystack_c.iface cimport Iface
from pystack_c.base.address cimport addr_text
from pystack_c.packet cimport Packet
from pystack_c.route cimport Dst
from pystack_c.wire cimport checksum

@cython.locals(most=int, mtu=int)
cpdef int bound(Core core, Iface iface, Dst dst) except -2
@cython.locals(p="const unsigned char*", begin=Py_ssize_t, end=Py_ssize_t, at=Py_ssize_t)
cpdef Py_ssize_t find_option(Packet pkt) except -2
@cython.locals(at=Py_ssize_t, most=int, told=int, new=bytearray, csum=int, word=Py_ssize_t, fields=dict, why=str)
cpdef object clamp(Core core, Iface iface, Dst dst, Packet pkt, object payload)
