cimport cython
from libc.stdint cimport int64_t, uint32_t
cimport pystack_c.const as C
from pystack_c.base.seqnum cimport seq_add, seq_diff, seq_ge, seq_gt, seq_le, seq_lt
from pystack_c.config cimport Config
from pystack_c.core cimport Core
from pystack_c.filter.flow cimport Tracked, Seen, Side, TcpTrack

cdef bytes _TABLE
cdef int64_t _OLD_ACK
cdef int _ACCEPT, _IGNORE, _INVALID, _LIBERAL

cpdef int index_of(int flags) except -1
@cython.locals(p="const unsigned char*", at=Py_ssize_t, hlen=int, flags=int)
cpdef str header_error(Seen seen)
@cython.locals(p="const unsigned char*", end=Py_ssize_t)
cdef Py_ssize_t _options_end(Seen seen) except? -1
@cython.locals(p="const unsigned char*")
cdef Py_ssize_t _next_option(bytes data, Py_ssize_t at, Py_ssize_t end) noexcept
@cython.locals(p="const unsigned char*", at=Py_ssize_t, end=Py_ssize_t)
cpdef read_options(Side side, Seen seen)
@cython.locals(p="const unsigned char*", at=Py_ssize_t, end=Py_ssize_t, i=int, right=uint32_t)
cpdef uint32_t highest_sack(Seen seen, uint32_t ack) except? 0xFFFFFFFF
@cython.locals(p="const unsigned char*", high=uint32_t)
cdef uint32_t _u32(bytes data, Py_ssize_t at) noexcept
@cython.locals(p="const unsigned char*", flags=int, size=Py_ssize_t)
cpdef uint32_t segment_end(Seen seen) except? 0xFFFFFFFF
@cython.locals(p="const unsigned char*", state=int, tcp=TcpTrack, side=Side, window=int)
cpdef str begin(Core core, Tracked entry, Seen seen)
@cython.locals(sender=Side, receiver=Side)
cdef _init_sender(TcpTrack tcp, Seen seen, int direction, uint32_t end, int window)
cdef _pick_up(Side sender, Side receiver, uint32_t end, int64_t window, uint32_t sack)
cdef int _verdict(Core core, Tracked entry, Side sender, str why, int result) except -1
@cython.locals(old_ack=int64_t, ack_ok=bint, in_window=bint, overshot=int64_t)
cdef int _check(Core core, Tracked entry, Side sender, Side receiver, uint32_t seq, uint32_t end, uint32_t sack) except -1
@cython.locals(p="const unsigned char*", at=Py_ssize_t, flags=int, tcp=TcpTrack, sender=Side, receiver=Side, seq=uint32_t, first=uint32_t, ack=uint32_t, window=int64_t, end=uint32_t, sack=uint32_t, result=int, scaled=int64_t)
cpdef int in_window(Core core, Tracked entry, Seen seen, int direction, int index) except -1
@cython.locals(reach=int64_t)
cdef _advance(Side sender, Side receiver, uint32_t end, uint32_t ack, uint32_t sack, int64_t window, bint acks)
cdef _count_retransmission(TcpTrack tcp, int direction, uint32_t seq, uint32_t ack, uint32_t end, int64_t window)
@cython.locals(config=Config)
cpdef int64_t timeout_of(Core core, int state) except -1
cpdef int next_state(int direction, int index, int state) except -1
