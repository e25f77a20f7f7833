cimport cython
from pystack_c.base.seqnum cimport seq_add
from pystack_c.tcp cimport quirks
from pystack_c.tcp.timestamps cimport ts_now
from pystack_c.tcp.tables cimport TcpTables
from pystack_c.tcp.tcb cimport Tcb

@cython.locals(tables=TcpTables)
cpdef start_sequence(Tcb tcb, Tcb old)
