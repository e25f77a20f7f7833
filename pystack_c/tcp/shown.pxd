cimport cython
from pystack_c.base.timer cimport Timer
from pystack_c.tcp.queues.recvbuf cimport RecvBuf
from pystack_c.tcp.queues.rtxq cimport RtxQueue
from pystack_c.tcp.queues.sendbuf cimport SendBuf
from pystack_c.tcp.tcb cimport Tcb

@cython.locals(sendbuf=SendBuf, recvbuf=RecvBuf, rtxq=RtxQueue, listener=object, timers=list)
cpdef tuple shown(Tcb tcb)
cdef void _running(list timers, Timer timer) except *
