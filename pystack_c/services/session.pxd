cimport cython
from libc.stdint cimport int64_t
cimport pystack_c.const as C
from pystack_c.base.address cimport addr_t
from pystack_c.config cimport Config
from pystack_c.core cimport Core
from pystack_c.tcp.queues.sendbuf cimport SendBuf
from pystack_c.tcp.tcb cimport Tcb
from pystack_c.base.timer cimport Timer, TimerOwner, new_timer

cdef int _QUARTERS

@cython.final
cdef class Session(TimerOwner):
    cdef public object service
    cdef public Tcb tcb
    cdef public Core core
    cdef public int ident
    cdef public addr_t peer
    cdef public int64_t opened
    cdef public bint draining
    cdef public int64_t goal
    cdef public int64_t goal_at
    cdef public int strikes
    cdef public int64_t head
    cdef public int64_t head_at
    cdef public Py_ssize_t searched
    cdef public Timer timer
    cpdef int64_t waits(self) except? -1
    cpdef blocked(self, int64_t now)
    @cython.locals(limit=int64_t, head=int64_t)
    cpdef begun(self, int64_t now)
    @cython.locals(name=str)
    cpdef look(self, int64_t now)
    @cython.locals(config=Config)
    cpdef str overdue(self, int64_t now)
    @cython.locals(at=int64_t)
    cpdef int64_t quiet(self) except? -1
    @cython.locals(config=Config, at=int64_t, idle=int64_t)
    cpdef arm(self, int64_t now)
    @cython.locals(config=Config, quarter=int64_t, buf=SendBuf)
    cpdef demand(self, int64_t now)
    cpdef over(self)
