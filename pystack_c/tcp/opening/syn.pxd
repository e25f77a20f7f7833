cimport cython
from libc.stdint cimport int64_t
cimport pystack_c.const as C
from pystack_c.config cimport Config
from pystack_c.core cimport Core
from pystack_c.base.seqnum cimport seq_add, seq_max
from pystack_c.tcp cimport quirks
from pystack_c.tcp.ecn cimport accecn
from pystack_c.tcp.opening.fastopen cimport syn_option
from pystack_c.tcp.tcb cimport Tcb
from pystack_c.wire.tcp cimport write_fastopen, write_syn_options, write_tcp
from pystack_c.tcp.window cimport opening_window
from pystack_c.tcp.mss cimport local_mss
from pystack_c.tcp.timestamps cimport ts_now
from pystack_c.tcp.segment cimport hand_to_ip

@cython.locals(core=Core, config=Config, answer=bint, ts=bint, sack=bint, scale=bint, mss=int, o=int, wscale=int, hlen=int, window=int64_t, flags=int, fields=dict, cookie=bytes, payload=object)
cpdef int send_syn(Tcb tcb, str reason, str rfc, int64_t length) except? -1
@cython.locals(mode=int, flags=int, again=int)
cpdef int syn_ecn(Tcb tcb) except -1
cpdef int syn_ack_ecn(Tcb tcb) except -1
@cython.locals(chosen=int)
cpdef int syn_ack_option(Tcb tcb, int hlen) except -1
@cython.locals(chosen=int, scratch=bytearray, end=Py_ssize_t, at=Py_ssize_t, rest=bytes, n=int)
cdef int _option_before_others(Tcb tcb, int hlen) except -1
