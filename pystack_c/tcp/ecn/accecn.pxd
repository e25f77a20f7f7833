cimport cython
from libc.stdint cimport int64_t, uint32_t
from pystack_c.packet cimport Packet
from pystack_c.tcp cimport tell
from pystack_c.tcp.ecn.accstate cimport AccEcn
from pystack_c.tcp.tcb cimport Tcb
from pystack_c.wire.tcp cimport write_accecn

cpdef enter(Tcb tcb)
cpdef int handshake_code(int codepoint) noexcept
cpdef int ace(Tcb tcb) noexcept
@cython.locals(acc=AccEcn)
cpdef fail(Tcb tcb, int mode, bint deaf)
@cython.locals(codepoint=int, n=int64_t, before=int, acc=AccEcn)
cpdef bint arrived(Tcb tcb, Packet pkt) except -1
@cython.locals(mode=int, moved=int64_t, acc=AccEcn)
cpdef bint due(Tcb tcb, bint data) except -1
@cython.locals(order=int, count=int, other=int, acc=AccEcn)
cpdef int choose(Tcb tcb, int room, bint full) noexcept
@cython.locals(least=int, count=int)
cpdef int fit(Tcb tcb, int room, int blocks) noexcept
@cython.locals(first=bint, last=bint, acc=AccEcn)
cpdef int needed(Tcb tcb, int order) noexcept
cpdef int size(int count) noexcept
@cython.locals(order=int, count=int, first=int64_t, last=int64_t, acc=AccEcn)
cpdef int write(Tcb tcb, bytearray buf, Py_ssize_t o, int chosen) except -1
@cython.locals(marked=int64_t, acc=AccEcn)
cpdef int64_t read_option(Tcb tcb, Packet pkt) except? -100
@cython.locals(delta=int64_t)
cpdef int64_t grown(int64_t field, int64_t counter) noexcept
cpdef bint zeroed(Packet pkt) noexcept
@cython.locals(average=int64_t, acc=AccEcn)
cpdef count_acks(Tcb tcb, int64_t newly)
@cython.locals(delta=int64_t, safest=int64_t)
cpdef int64_t newly_marked(Tcb tcb, Packet pkt, int64_t newly, int64_t marked) noexcept
cdef bint _follows_peer(Tcb tcb, int mode) noexcept
cdef bint _due_linux(Tcb tcb) noexcept
cdef bint _acks_are_joined(Tcb tcb) noexcept
@cython.locals(acc=AccEcn)
cpdef trust_options(Tcb tcb)
