cimport cython
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t
cimport pystack_c.const as C
from pystack_c.route cimport Dst
from pystack_c.base.address cimport addr_t

@cython.locals(p="const unsigned char*")
cpdef bytes cut(bytes data, Py_ssize_t begin, Py_ssize_t end)

@cython.final
cdef class Packet:
    cdef public bytes frame
    cdef public int flags
    cdef public int gso_size
    cdef public Py_ssize_t end
    cdef public Py_ssize_t l2_off
    cdef public uint64_t eth_dst
    cdef public uint64_t eth_src
    cdef public int eth_type
    cdef public bint l2_group
    cdef public Py_ssize_t ip_off
    cdef public int ip_hlen
    cdef public int ip_options
    cdef public addr_t src
    cdef public addr_t dst
    cdef public int proto
    cdef public int ttl
    cdef public int tos
    cdef public int ident
    cdef public bint df
    cdef public bint mf
    cdef public int frag_off
    cdef public int total_len
    cdef public uint32_t mark
    cdef public int dst_kind
    cdef public Py_ssize_t l4_off
    cdef public Py_ssize_t l4_end
    cdef public Py_ssize_t data_off
    cdef public int sport
    cdef public int dport
    cdef public uint32_t seq
    cdef public uint32_t ack
    cdef public int tcp_flags
    cdef public int64_t window
    cdef public int urg
    cdef public int opt_mss
    cdef public int opt_wscale
    cdef public bint opt_sack_ok
    cdef public bint opt_ts
    cdef public uint32_t tsval
    cdef public uint32_t tsecr
    cdef public list sack
    cdef public bytes opt_fastopen
    cdef public bint opt_fastopen_exp
    cdef public int acc_order
    cdef public int acc_count
    cdef public int acc_first
    cdef public int acc_ceb
    cdef public int acc_last
    cdef public int icmp_type
    cdef public int icmp_code
    cdef public uint32_t icmp_rest
    cdef public int arp_op
    cdef public uint64_t arp_sha
    cdef public addr_t arp_spa
    cdef public uint64_t arp_tha
    cdef public addr_t arp_tpa
    cdef void _no_message(self) noexcept
    cpdef Py_ssize_t data_len(self) noexcept
    cpdef Py_ssize_t segments(self) noexcept

@cython.final
cdef class Outgoing:
    cdef public Dst dst
    cdef public addr_t src
    cdef public addr_t daddr
    cdef public int proto
    cdef public int ttl
    cdef public int tos
    cdef public int df
    cdef public Py_ssize_t l4_len
    cdef public object payload
    cdef public int gso_size
    cdef public int csum_offset
    cdef public bytes options
    cdef public int ident
    cdef public Py_ssize_t frag_off
    cdef public bint mf
    cdef public uint32_t mark
    cdef public bint reroute
    cpdef begin(self, Dst dst, addr_t src, addr_t daddr, int proto)

@cython.final
cdef class Transmit:
    cdef public object iface
    cdef public bytes header
    cdef public object payload
    cdef public int gso_size
    cdef public int csum_start
    cdef public int csum_offset
    cdef public int hdr_len
    cpdef fill(self, object iface, bytes header, object payload)
    cpdef bytes to_bytes(self)

@cython.locals(tx=Transmit)
cpdef Transmit new_transmit(object iface, bytes header, object payload)
