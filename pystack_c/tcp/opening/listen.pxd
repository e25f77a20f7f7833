cimport cython
from libc.stdint cimport int64_t, uint32_t
cimport pystack_c.const as C
from pystack_c.core cimport Core
from pystack_c.packet cimport Packet
from pystack_c.base.seqnum cimport seq_add
from pystack_c.tcp.opening cimport cookies, fastopen
from pystack_c.tcp cimport quirks, tell
from pystack_c.tcp.close cimport finish
from pystack_c.tcp.opening.handshake cimport fresh_child, start_congestion_control, take_syn, to_accept_queue
from pystack_c.tcp.opening.isn cimport start_sequence
from pystack_c.tcp.opening.listener cimport Listener
from pystack_c.tcp.schedule cimport schedule
from pystack_c.tcp.reset cimport send_reset
from pystack_c.tcp.state cimport set_state
from pystack_c.tcp.tables cimport TcpTables
from pystack_c.tcp.tcb cimport Tcb

@cython.locals(core=Core, flags=int, rfc=str, child=Tcb, queue=Listener, ack=uint32_t, why=str)
cpdef Tcb listen_state(Tcb listener, Packet pkt, Tcb old)
@cython.locals(core=Core, tables=TcpTables, tcb=Tcb, asks=bint)
cpdef spawn(Tcb listener, Listener queue, Packet pkt, Tcb old)
