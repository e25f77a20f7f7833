from libc.stdint cimport int64_t
from pystack_c.settings.tcp cimport TcpSettings

cdef class ServiceSettings(TcpSettings):
    cdef public int64_t service_idle_time
    cdef public int64_t service_head_time
    cdef public int64_t service_stall_time
    cdef public int64_t service_min_rate
    cdef public int64_t service_total_time
    cdef public int64_t service_max_conns
