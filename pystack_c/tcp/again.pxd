cimport cython
from libc.stdint cimport int64_t
cimport pystack_c.const as C
from pystack_c.core cimport Core
from pystack_c.sockets cimport ports
from pystack_c.tcp.queues cimport memory
from pystack_c.tcp.opening cimport fastopen
from pystack_c.tcp.opening.tfostate cimport FastOpen
from pystack_c.tcp cimport tell
from pystack_c.tcp.loss.rtt cimport backed_off
from pystack_c.tcp.tcb cimport Tcb
from pystack_c.base.address cimport addr_t, normal

@cython.locals(core=Core, kept=dict, size=int64_t, name=object, value=object, tfo=FastOpen, mine=FastOpen)
cpdef disconnect(Tcb tcb, addr_t laddr, int64_t now)
@cython.locals(core=Core, config=object, old=int64_t, srtt=int64_t, rttvar=int64_t, fields=dict, window=int64_t, cwnd=int64_t, ssthresh=int64_t, mss=int64_t)
cdef _forget(Tcb tcb)
