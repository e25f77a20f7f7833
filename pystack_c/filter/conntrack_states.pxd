cimport cython
from libc.stdint cimport int64_t, uint32_t
cimport pystack_c.const as C
from pystack_c.base.seqnum cimport seq_lt
from pystack_c.config cimport Config
from pystack_c.core cimport Core
from pystack_c.filter cimport conntrack_tcp
from pystack_c.filter.conntrack_table cimport Conntrack
from pystack_c.filter.flow cimport Tracked, Seen, Side, TcpTrack

cdef int _ACCEPT, _IGNORE, _INVALID
cdef int _CHECK, _SKIP, _KEEP, _WRONG

@cython.locals(ct=Conntrack, config=Config)
cpdef int packet(Core core, Tracked entry, Seen seen, int direction) except -1
@cython.locals(p="const unsigned char*", high=uint32_t)
cdef uint32_t _u32(bytes data, Py_ssize_t at) noexcept
cdef bint _early(int state) noexcept
@cython.locals(tcp=TcpTrack, p="const unsigned char*", index=int, old=int, new=int, check=bint, how=int, result=int)
cpdef int tcp_packet(Core core, Tracked entry, Seen seen, int direction) except -1
@cython.locals(ack=uint32_t, opener=Side, other=Side, liberal=int)
cdef bint _resync(TcpTrack tcp, Seen seen, int direction, int index) except -1
@cython.locals(tcp=TcpTrack, p="const unsigned char*", spare=Side)
cdef int _ignored(Core core, Tracked entry, Seen seen, int direction, int index) except -1
@cython.locals(tcp=TcpTrack, other=Side, seq=uint32_t, ack=uint32_t, established=bint)
cdef int _close(Core core, Tracked entry, Seen seen, int direction, int old) except -1
@cython.locals(tcp=TcpTrack, timeout=int64_t)
cdef _out_of_window(Core core, Tracked entry, int direction, int index)
@cython.locals(tcp=TcpTrack, config=Config, timeout=int64_t, waits=int)
cdef int64_t _timeout(Core core, Tracked entry, int index, int state) except -1
@cython.locals(tcp=TcpTrack, ct=Conntrack, fields=dict, why=str, timeout=int64_t, unacknowledged=int64_t, side=Side)
cdef int _changed(Core core, Tracked entry, Seen seen, int direction, int index, int old, int new) except -1
