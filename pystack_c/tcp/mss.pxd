cimport cython
from libc.stdint cimport int64_t
cimport pystack_c.const as C
from pystack_c.config cimport Config
from pystack_c.core cimport Core
from pystack_c.ip.routing cimport route_endpoint, route_output
from pystack_c.ip.pmtu cimport expire_mtu
from pystack_c.route cimport Dst
from pystack_c.tcp cimport quirks, tell
from pystack_c.tcp.tcb cimport Tcb

@cython.locals(core=Core, route=Dst)
cpdef bint have_route(Tcb tcb) except -1
@cython.locals(route=Dst)
cpdef int headers(Tcb tcb) except -1
@cython.locals(config=Config, mss=int)
cpdef int local_mss(Tcb tcb) except? -1
cpdef int path_mtu(Tcb tcb) except -1
@cython.locals(mode=int)
cpdef int fragmenting(Tcb tcb) except -1
@cython.locals(mtu=int, mss=int, old=int64_t)
cpdef update_mss(Tcb tcb)
