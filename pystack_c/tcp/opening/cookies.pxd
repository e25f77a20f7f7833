cimport cython
from libc.stdint cimport int64_t, uint32_t, uint64_t
cimport pystack_c.const as C
from pystack_c.core cimport Core
from pystack_c.packet cimport Packet
from pystack_c.base.seqnum cimport seq_add
from pystack_c.tcp.ecn cimport ecn
from pystack_c.tcp cimport tell
from pystack_c.tcp.opening.handshake cimport fresh_child, take_syn, to_accept_queue
from pystack_c.tcp.opening.listener cimport Listener
from pystack_c.tcp.opening.syn cimport send_syn
from pystack_c.tcp.timestamps cimport ts_now
from pystack_c.tcp.window cimport opening_window
from pystack_c.tcp.state cimport set_state
from pystack_c.tcp.tcb cimport Tcb
from pystack_c.base.address cimport addr_bytes

@cython.locals(data=bytes)
cpdef object mac(Core core, Packet pkt, object irs, object period, object mss_index)
@cython.locals(core=Core, tcb=Tcb, index=int, i=int, mss=int, period=int64_t, scale=int, bits=int, value=int64_t, coded=int64_t)
cpdef answer(Tcb listener, Packet pkt)
@cython.locals(core=Core, cookie=uint32_t, irs=uint32_t, period=int64_t, index=int, queue=Listener, tcb=Tcb)
cpdef Tcb redeem(Tcb listener, Packet pkt)
@cython.locals(seq=uint32_t, window=int64_t, bits=int, ecn_ok=bint, old=int64_t)
cpdef restore(Tcb tcb, Packet pkt, uint32_t cookie, uint32_t irs, int mss)
