cimport cython
from libc.stdint cimport int64_t, uint64_t
cimport pystack_c.const as C
from pystack_c.ingress cimport icmpv4 as icmp_input, ipv4 as ip_input
from pystack_c.link cimport neighbor
from pystack_c.endpoint cimport Endpoint
from pystack_c.filter cimport conntrack, nat
from pystack_c.filter.nat_rules cimport NatRule, Range
from pystack_c.iface cimport Iface, LocalAddr
from pystack_c.packet cimport Packet, Transmit
from pystack_c.ip.tables cimport Tables
from pystack_c.route cimport Route
from pystack_c.services.base cimport Service
from pystack_c.tcp.output cimport tcp_output
from pystack_c.tcp.tcb cimport Tcb
from pystack_c.tcp.timers cimport TcpLayer
from pystack_c.base.timer cimport Timer
from pystack_c.wire cimport ethernet
from pystack_c.link.neighbor cimport NeighborEntry
from pystack_c.link cimport arp
from pystack_c.base.address cimport addr_t, loopback_for, most_prefixlen, normal

cdef class Stack(Tables):
    cdef public dict services
    @cython.locals(iface=Iface, other=Iface)
    cpdef Iface add_iface(self, str name, int kind=*, uint64_t mac=*, int mtu=*, bint tx_csum=*, int gso_max=*)
    @cython.locals(found=Iface)
    cpdef Iface iface(self, str name)
    @cython.locals(made=Iface)
    cpdef Iface add_vlan(self, Iface parent, object vid, str name=*)
    @cython.locals(own=LocalAddr, first=bint, item=object, other=LocalAddr)
    cpdef LocalAddr add_addr(self, Iface iface, addr_t addr, int prefixlen)
    @cython.locals(own=LocalAddr, other=LocalAddr)
    cpdef del_addr(self, Iface iface, addr_t addr)
    @cython.locals(entry=NeighborEntry, child=Iface, changed=bint)
    cpdef set_iface(self, Iface iface, bint up)
    cpdef add_neighbor(self, Iface iface, addr_t addr, uint64_t mac)
    cpdef track(self, bint on=*)
    @cython.locals(rule=NatRule)
    cpdef add_nat(self, int place, int action, addr_t low=*, addr_t high=*, int port_low=*, int port_high=*, bint fully_random=*, Iface iface=*, int proto=*, addr_t src=*, int src_length=*, addr_t dst=*, int dst_length=*, int match_low=*, int match_high=*)
    cpdef nft(self, str text)
    cpdef add_service(self, addr_t addr, int port, int proto, str kind, bint direct_return=*)
    cpdef set_server(self, addr_t addr, int port, int proto, addr_t server, int server_port, int weight=*, bint up=*)
    cpdef del_server(self, addr_t addr, int port, int proto, addr_t server, int server_port)
    @cython.locals(found=object)
    cpdef object service(self, addr_t addr, int port, int proto)
    cpdef receive(self, Iface iface, bytes frame, int64_t now, Py_ssize_t offset=*, int flags=*, int gso_size=*)
    @cython.locals(pkt=Packet, code=int, fields=dict)
    cdef _input(self, Iface iface, bytes frame, Py_ssize_t offset, int flags, int gso_size)
    @cython.locals(frame=bytes, vid=int, found=Iface)
    cdef _tagged(self, Iface iface, Packet pkt, int flags, int gso_size)
    @cython.locals(timer=Timer, _=str, why=str, rfc=str)
    cpdef handle_timeout(self, int64_t now)
    @cython.locals(tx=Transmit, iface=Iface, packet=bytes, fields=dict)
    cdef _loop(self, item)
    cpdef Transmit poll_transmit(self, int64_t now)
    @cython.locals(ep=Endpoint, service=Service, tcb=Tcb, iface=Iface, icmp_type=int, code=int, packet=bytes)
    cdef _produce(self)
    @cython.locals(ep=Endpoint)
    cpdef Endpoint poll_event(self)
    @cython.locals(deadline=int64_t)
    cpdef object poll_timeout(self)
