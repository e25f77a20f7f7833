cimport cython
from libc.stdint cimport int64_t
from pystack_c.base.address cimport addr_t, key
from pystack_c.core cimport Core

@cython.locals(share=int64_t)
cpdef bint over_share(Core core, addr_t addr, int64_t n) except? -1
