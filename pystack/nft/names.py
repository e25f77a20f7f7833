"""Names that only the language has. Those for numbers that the engine has, too, are in pystack_c/filter/nft/names.py."""

import _socket

from pystack_c.filter.nft.names import SERVICES

#: the priorities of base chains that have a name, for the families ip and inet (linux/netfilter_ipv4.h)
PRIORITIES = {"raw": -300, "mangle": -150, "dstnat": -100, "filter": 0, "security": 50, "srcnat": 100}
#: the hooks of those that are not for all hooks
PRIORITY_HOOKS = {"dstnat": ("prerouting", "output"), "srcnat": ("postrouting", "input")}
LOG_LEVELS = ("emerg", "alert", "crit", "err", "warn", "notice", "info", "debug", "audit")
TCP_OPTIONS = {
    "eol": ("kind",),
    "nop": ("kind",),
    "maxseg": ("length", "size"),
    "window": ("length", "count"),
    "sack-perm": ("length",),
    "sack": ("length", "left", "right"),
    "timestamp": ("length", "tsval", "tsecr"),
}

#: Words at which a rule or a command begins that nft knows and pystack does not.
UNSUPPORTED = (
    "ah arp bridge comp dccp dst dup egress ether exthdr flow flowtable flowtables frag fwd geneve gre gretap hbh helper icmpv6 igmp "
    "ingress ip6 ipsec last meter meters mh monitor netdev osf reset rt0 rt2 rt4 sctp secmark socket srh synproxy tproxy udplite "
    "vlan vxlan xt export import describe destroy get esp expectation iiftype oiftype iifgroup oifgroup rtclassid cgroup classid hour "
    "day ibrname obrname ibriport obriport sdif sdifname secpath label src-bytes realm"
).split()

#: Words that cannot be the name of a table, a chain, a set or an object.
RESERVED = (
    "accept add ah arp bridge chain chains comment comp constant continue counter counters create ct dccp define delete destroy dnat "
    "drop dst dup dynamic element elements esp ether export fib flags flow flowtable flush frag fwd goto gre handle hbh hook hour icmp "
    "icmpv6 igmp iif iifname import include index inet interval ip ip6 jhash jump limit limits list log map maps mark masquerade meta "
    "meter metainfo mh monitor netdev notrack numgen oif oifname osf policy position priority queue quota quotas random redefine "
    "redirect reject rename replace reset return rt rt0 rule rules ruleset sctp secmark set sets size skgid skuid snat socket srh "
    "symhash synproxy table tables tcp th timeout tproxy type typeof udp udplite undefine vlan vmap xt"
).split()


def service(name: str) -> int | None:
    """Return the port of a service, or None."""
    if name in SERVICES:
        return SERVICES[name]
    try:
        return _socket.getservbyname(name)
    except OSError:
        return None
