cimport cython
from pystack_c.tcp cimport quirks
from pystack_c.tcp.ecn cimport accecn
from pystack_c.tcp.tcb cimport Tcb

@cython.locals(most=int)
cpdef int most_blocks(Tcb tcb, bint data) except? -1
@cython.locals(count=int, most=int)
cpdef int sack_blocks(Tcb tcb, bint data) except? -1
@cython.locals(count=int)
cpdef int sack_option_len(Tcb tcb) except? -1
@cython.locals(blocks=int, room=int)
cpdef int accecn_option(Tcb tcb, bint data) except -100
@cython.locals(room=int)
cpdef int blocks_beside(Tcb tcb, int blocks, int chosen) except? -1
@cython.locals(blocks=int, chosen=int, n=int)
cpdef int new_data_options(Tcb tcb) except -100
