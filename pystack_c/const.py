"""Protocol numbers as plain ints, so that Python code can read them. const.pxd repeats them as a C enum for the
compiled modules, and `tests/pystack_c/test_const.py` compares the two.

Modules use `import pystack_c.const as C` in the .py and `cimport pystack_c.const as C` in the .pxd.
"""

# EtherType (IANA ieee-802-numbers)
ETH_P_IP = 0x0800
ETH_P_ARP = 0x0806
ETH_P_8021Q = 0x8100
ETH_HLEN = 14
# RFC 9293 3.1, RFC 768: headers without options
TCP_HLEN = 20
UDP_HLEN = 8

# IP protocol numbers (IANA protocol-numbers)
IPPROTO_ICMP = 1
IPPROTO_IGMP = 2
IPPROTO_TCP = 6
IPPROTO_UDP = 17

# TCP control bits (RFC 9293 section 3.1)
FIN = 0x01
SYN = 0x02
RST = 0x04
PSH = 0x08
ACK = 0x10
URG = 0x20
ECE = 0x40
CWR = 0x80
AE = 0x100  # RFC 9768 3.1.1
# not a bit on the wire: it marks a segment of new data, which may carry ECT
ECT = 0x1000

# Kinds of link (Iface.kind)
LINK_ETHERNET = 1
LINK_IP = 2  # TUN: bare IP packets
LINK_LOOPBACK = 3

# Flags that come with a received frame (the driver's metadata)
RX_CSUM_OK = 1  # the transport checksum was verified, or the packet never left this machine

# Kinds of destination address of a received packet (Packet.dst_kind)
DST_UNICAST = 0
DST_BROADCAST = 1
DST_MULTICAST = 2
DST_OTHER = 3
DST_LOCAL = 4  # only as the kind of a Dst: one of this host's own addresses, through the loopback interface

# TCP option kinds (IANA tcp-parameters)
TCPOPT_EOL = 0
TCPOPT_NOP = 1
TCPOPT_MSS = 2
TCPOPT_WSCALE = 3
TCPOPT_SACK_OK = 4
TCPOPT_SACK = 5
TCPOPT_TS = 8
TCPOPT_FASTOPEN = 34
TCPOPT_ACCECN0 = 172
TCPOPT_ACCECN1 = 174
TCPOPT_EXP = 254

# TCP timers of a connection
TIMER_RTO = 1
TIMER_PERSIST = 2
TIMER_DELACK = 3
TIMER_KEEPALIVE = 4
TIMER_TIME_WAIT = 5
TIMER_FIN_WAIT_2 = 6
TIMER_REORDER = 7
TIMER_TLP = 8
TIMER_PACE = 9

# Phases of loss recovery (the names of Linux's tcp_ca_state)
CA_OPEN = 0
CA_DISORDER = 1
CA_CWR = 2
CA_RECOVERY = 3
CA_LOSS = 4

# TCP states (RFC 9293 section 3.3.2), numbered as Linux numbers them for tcp_info
ESTABLISHED = 1
SYN_SENT = 2
SYN_RECEIVED = 3
FIN_WAIT_1 = 4
FIN_WAIT_2 = 5
TIME_WAIT = 6
CLOSED = 7
CLOSE_WAIT = 8
LAST_ACK = 9
LISTEN = 10
CLOSING = 11

# The events of an endpoint (Endpoint.pending) and its readiness. The bits are those of poll(2).
EV_IN = 0x01
EV_PRI = 0x02
EV_OUT = 0x04
EV_ERR = 0x08
EV_HUP = 0x10
EV_RDHUP = 0x2000

# ICMP types (IANA icmp-parameters)
ICMP_ECHO_REPLY = 0
ICMP_UNREACHABLE = 3
ICMP_SOURCE_QUENCH = 4
ICMP_REDIRECT = 5
ICMP_REDIR_HOST = 1
ICMP_ECHO = 8
ICMP_TIME_EXCEEDED = 11
ICMP_PARAMETER_PROBLEM = 12

# ICMP codes (IANA icmp-parameters)
ICMP_NET_UNREACH = 0
ICMP_HOST_UNREACH = 1
ICMP_PROT_UNREACH = 2
ICMP_PORT_UNREACH = 3
ICMP_FRAG_NEEDED = 4
ICMP_SR_FAILED = 5
ICMP_PKT_FILTERED = 13
ICMP_EXC_TTL = 0
ICMP_EXC_FRAGTIME = 1

# ARP operations (RFC 826)
ARPOP_REQUEST = 1
ARPOP_REPLY = 2

# States of a neighbour entry (RFC 4861 section 7.3.2), numbered as Linux numbers them
NUD_NONE = 0
NUD_INCOMPLETE = 0x01
NUD_REACHABLE = 0x02
NUD_STALE = 0x04
NUD_DELAY = 0x08
NUD_PROBE = 0x10
NUD_FAILED = 0x20
NUD_PERMANENT = 0x80

# Kinds of route
RT_UNICAST = 1
RT_UNREACHABLE = 7
RT_PROHIBIT = 8
RT_BLACKHOLE = 6
RT_THROW = 9

# Tables of routes, and the actions of the rules that choose one, numbered as Linux numbers them
RT_TABLE_DEFAULT = 253
RT_TABLE_MAIN = 254
RT_TABLE_LOCAL = 255
RULE_TABLE = 1
RULE_GOTO = 2
RULE_NOP = 3

# Kinds of timer below TCP (TCP's own are below 100)
T_NEIGH = 100
T_REASM = 101
T_ACD = 102
T_CONNTRACK = 106

# Directions of a tracked connection (filter/flow.py)
CT_ORIGINAL = 0
CT_REPLY = 1

# What connection tracking says about a packet
CT_INVALID = 0
CT_NEW = 1
CT_ESTABLISHED = 2
CT_RELATED = 3
CT_UNTRACKED = 4
#: the entry of the packet was removed, so look again (filter/conntrack_states.py)
CT_REPEAT = 9

# Bits of the status of a tracked connection, with Linux's values
IPS_SEEN_REPLY = 0x002
IPS_ASSURED = 0x004
IPS_CONFIRMED = 0x008
IPS_SRC_NAT = 0x010
IPS_DST_NAT = 0x020
IPS_SRC_NAT_DONE = 0x080
IPS_DST_NAT_DONE = 0x100
IPS_DYING = 0x200

# States of a tracked TCP connection (filter/conntrack_tcp.py), and two results that are no states
TCT_NONE = 0
TCT_SYN_SENT = 1
TCT_SYN_RECV = 2
TCT_ESTABLISHED = 3
TCT_FIN_WAIT = 4
TCT_CLOSE_WAIT = 5
TCT_LAST_ACK = 6
TCT_TIME_WAIT = 7
TCT_CLOSE = 8
TCT_SYN_SENT2 = 9
TCT_INVALID = 10
TCT_IGNORE = 11

# Which of a segment's control bits decide about the state of a tracked connection
TCB_SYN = 0
TCB_SYNACK = 1
TCB_FIN = 2
TCB_ACK = 3
TCB_RST = 4
TCB_NONE = 5

# Flags of one side of a tracked TCP connection
TCF_WINDOW_SCALE = 0x01
TCF_SACK_PERM = 0x02
TCF_CLOSE_INIT = 0x04
TCF_BE_LIBERAL = 0x08
TCF_DATA_UNACKNOWLEDGED = 0x10
TCF_MAXACK_SET = 0x20
TCF_CHALLENGE_ACK = 0x40
TCF_SIMULTANEOUS = 0x80

# Kinds of address translation (filter/nat.py)
NAT_ACCEPT = 0
NAT_SNAT = 1
NAT_DNAT = 2
NAT_MASQUERADE = 3
NAT_REDIRECT = 4

# Places of hooks and their verdicts (filter/hooks.py); a hook that returns NF_COUNTED has counted the drop itself
HOOK_PREROUTING = 0
HOOK_INPUT = 1
HOOK_FORWARD = 2
HOOK_OUTPUT = 3
HOOK_POSTROUTING = 4
NF_DROP = 0
NF_ACCEPT = 1
NF_STOLEN = 2
NF_COUNTED = 6
# What a statement of an nftables rule returns beside these verdicts (filter/nft); the numbers are Linux's
NFT_CONTINUE = -1
NFT_BREAK = -2
NFT_JUMP = -3
NFT_GOTO = -4
NFT_RETURN = -5

# The only kind of timer that services have (pystack_c/services)
T_SERVICE = 103

# IGMP's timers: the repetition of a report, and the answer to a query
T_IGMP_CHANGE = 104
T_IGMP_ANSWER = 105
T_IGMP_QUERY = 106
T_IGMP_MEMBERS = 107

# Offset of the transport header in Core.scratch. It leaves room
# for Ethernet (14 bytes) and the longest IP header (60) before it.
L4_OFF = 96

# Outgoing.df: set the DF bit; or send packets as large as the link allows, whatever the path MTU is
DONT_FRAGMENT = 1
LINK_MTU = 2

# What limits a sender (Tcb.chrono, tcp/congestion/chrono.py)
CHRONO_IDLE = 0
CHRONO_BUSY = 1
CHRONO_RWND = 2
CHRONO_SNDBUF = 3

# State of the urgent byte (Urgent.state): none, announced, ready to be read with MSG_OOB, already read
OOB_NONE = 0
OOB_EXPECTED = 1
OOB_HERE = 2
OOB_READ = 3

# Flags of send and recv, with Linux's values
MSG_OOB = 0x01
MSG_PEEK = 0x02
MSG_DONTROUTE = 0x04
MSG_EOR = 0x80
MSG_ERRQUEUE = 0x2000
MSG_MORE = 0x8000

# Stored sequence numbers are checked when a bit above these changes
# in SND.UNA or RCV.NXT, which is every 256 MB (tcp/marks.py).
MARK_SHIFT = 28

# Nanoseconds of a second, and of a millisecond
NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000

# The mask of 32-bit arithmetic. In the compiled build a literal above 2**31 is a Python object, which makes all
# arithmetic with it slow. This constant is a C number.
M32 = 0xFFFFFFFF

# 1 in const.pxd. It distinguishes a compiled module from the same source uncompiled, at no cost. A module
# that is never compiled sees 0 on both builds, and asks pystack.compiled() instead.
COMPILED = 0
