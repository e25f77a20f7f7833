cimport cython
from libc.stdint cimport int64_t, uint32_t
cimport pystack_c.const as C
from pystack_c.config cimport Config
from pystack_c.link.neighbor cimport confirm
from pystack_c.packet cimport Packet
from pystack_c.base.seqnum cimport seq_diff, seq_ge, seq_gt, seq_le, seq_lt
from pystack_c.tcp.congestion cimport chrono, rate
from pystack_c.tcp.ecn cimport ecn
from pystack_c.tcp.queues cimport memory
from pystack_c.tcp cimport mtuprobe, tell
from pystack_c.tcp.loss cimport rtt
from pystack_c.tcp.rtotimer cimport set_rto_timer
from pystack_c.tcp.schedule cimport schedule
from pystack_c.tcp.loss.recovery cimport after_ack
from pystack_c.tcp.loss.marking cimport delivered, update_scoreboard
from pystack_c.tcp.loss.rtt cimport backed_off
from pystack_c.tcp.queues.rtxq cimport RtxQueue
from pystack_c.tcp.queues.sentseg cimport SentSegment
from pystack_c.tcp.queues.sendbuf cimport SendBuf
from pystack_c.tcp.tcb cimport Tcb
from pystack_c.base.timer cimport Timer

@cython.locals(old=int64_t, ssthresh=int64_t)
cdef sample_rate(Tcb tcb)
@cython.locals(ack=uint32_t, una=uint32_t, advanced=bint, acked=int64_t, sample=int64_t, plain=bint, sacked=bint, window_changed=bint, duplicate=bint, before=int64_t, records=Py_ssize_t)
cpdef process_ack(Tcb tcb, Packet pkt, bint opened)
cdef go_on(Tcb tcb)
@cython.locals(q=RtxQueue, now=int64_t, sample=int64_t, retransmitted=bint, seg=SentSegment, n=int64_t)
cpdef int64_t clean_rtxq(Tcb tcb, uint32_t ack) except? -1
@cython.locals(before=int64_t, n=int64_t, far=uint32_t, buf=SendBuf, full=bint, config=Config)
cpdef data_acked(Tcb tcb, uint32_t ack)
@cython.locals(elapsed=int64_t)
cpdef measure(Tcb tcb, Packet pkt, int64_t sample)
@cython.locals(window=int64_t, old=int64_t, timer=Timer, timeout=int64_t)
cpdef bint update_window(Tcb tcb, Packet pkt) except -1
@cython.locals(timer=Timer)
cpdef restart_rto(Tcb tcb, bint advanced)
cdef bint _linux_queue(Tcb tcb) noexcept
