cimport cython
cimport pystack_c.const as C
from pystack_c.core cimport Core
from pystack_c.tcp.tcb cimport Tcb

@cython.locals(old=int, core=Core, before=dict, fields=dict)
cpdef set_state(Tcb tcb, int new, str why, str rfc)
