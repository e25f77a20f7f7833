cimport cython
from pystack_c.tcp.tcb cimport Tcb

cpdef schedule(Tcb tcb)
