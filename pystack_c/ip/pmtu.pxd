cimport cython
from pystack_c.core cimport Core
from pystack_c.route cimport Dst, link_mtu
from pystack_c.base.address cimport addr_text

@cython.locals(old=int, locked=bint)
cpdef lower_mtu(Core core, Dst dst, int mtu)
@cython.locals(old=int)
cpdef expire_mtu(Core core, Dst dst)
@cython.locals(fields=dict)
cdef _tell_mtu(Core core, Dst dst, int old, str why, str rfc)
