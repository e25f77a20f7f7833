cimport cython
from libc.stdint cimport int64_t
from pystack_c.tcp.congestion cimport rate
from pystack_c.tcp.nagle cimport corked, nagle_holds
from pystack_c.tcp.tcb cimport Tcb

@cython.locals(found=list, rest=int64_t, half=bint, name=str, why=str)
cpdef new_data(Tcb tcb, int64_t mss, int64_t unsent, int64_t usable, int64_t room)
cpdef one(Tcb tcb, str name, str why, str rfc, int64_t unsent)
cpdef waits_for_pace(Tcb tcb, int64_t unsent)
@cython.locals(found=list, why=str)
cpdef lost_data(Tcb tcb, bint full)
cpdef bint paced(Tcb tcb) except -1
@cython.locals(wait=double, why=str)
cpdef tuple pacing(Tcb tcb, str what)
@cython.locals(by=str, why=str, fields=dict, name=str, text=str, _=str)
cpdef report(Tcb tcb, str data, int64_t length, list found)
