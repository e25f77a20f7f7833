cimport cython
from libc.stdint cimport int64_t
cimport pystack_c.const as C
from pystack_c.sockets cimport ports
from pystack_c.core cimport Core
from pystack_c.ip.routing cimport route_endpoint, route_output
from pystack_c.route cimport Dst
from pystack_c.tcp.opening cimport fastopen
from pystack_c.tcp.queues cimport memory
from pystack_c.tcp cimport quirks, tell
from pystack_c.tcp.close cimport abort_connection, await_fin, finish
from pystack_c.tcp.opening.handshake cimport window_scale
from pystack_c.tcp.opening.isn cimport start_sequence
from pystack_c.tcp.opening.listener cimport Listener
from pystack_c.tcp.opening.tfostate cimport FastOpen
from pystack_c.tcp.schedule cimport schedule
from pystack_c.tcp.queues.recvbuf cimport RecvBuf
from pystack_c.tcp.mss cimport have_route
from pystack_c.tcp.queues.sendbuf cimport SendBuf
from pystack_c.tcp.state cimport set_state
from pystack_c.tcp.tables cimport TcpTables
from pystack_c.tcp.tcb cimport Tcb, new_tcb
from pystack_c.tcp.window cimport window_update
from pystack_c.tcp.queues.autotune cimport tune_receive_buffer
from pystack_c.tcp.errors cimport error
from pystack_c.tcp.urgent cimport pass_mark, recv_urgent, up_to_mark
from pystack_c.base.address cimport addr_t, loopback_for, normal

@cython.locals(tcb=Tcb)
cpdef Tcb tcp_open(Core core, int64_t now)
@cython.locals(core=Core)
cpdef bind(Tcb tcb, addr_t addr, int port, int64_t now)
@cython.locals(core=Core, other=Tcb, same=bint)
cpdef listen(Tcb tcb, int backlog, int64_t now)
@cython.locals(child=Tcb)
cpdef Tcb accept(Tcb tcb, int64_t now)
@cython.locals(core=Core, route=Dst, laddr=addr_t, tables=TcpTables, old=Tcb)
cpdef connect(Tcb tcb, addr_t addr, int port, int64_t now)
@cython.locals(code=int)
cpdef check_error(Tcb tcb)
@cython.locals(core=Core, state=int, buf=SendBuf, room=int64_t, n=int64_t, pieces=object, more=bint)
cpdef int64_t send(Tcb tcb, bytes data, int flags, int64_t now) except? -1
@cython.locals(buf=RecvBuf, data=bytes, state=int)
cpdef bytes recv(Tcb tcb, int64_t n, int flags, int64_t now)
@cython.locals(buf=RecvBuf)
cpdef int64_t skip(Tcb tcb, int64_t n, int64_t now) except? -1
cpdef bint at_mark(Tcb tcb, int64_t now) except -1
cpdef int64_t unread(Tcb tcb, int64_t now) except? -1
@cython.locals(n=int64_t)
cpdef int64_t syn_with_data(Tcb tcb, bytes data) except? -1
@cython.locals(core=Core, tfo=FastOpen)
cpdef int64_t connect_fastopen(Tcb tcb, bytes data, addr_t addr, int port, int64_t now) except? -1
cpdef shutdown(Tcb tcb, int how, int64_t now)
cpdef close_write(Tcb tcb)
@cython.locals(queue=Listener, child=Tcb)
cpdef close_listener(Tcb tcb)
@cython.locals(core=Core, state=int)
cpdef close(Tcb tcb, int64_t now)
@cython.locals(core=Core)
cpdef abort(Tcb tcb, int64_t now)
cdef bint _linux_queue(Tcb tcb) noexcept
