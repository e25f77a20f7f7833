"""Names that nftables has for numbers: protocols, services, types of messages, states. The language (pystack/nft) has the same.

The numbers are those of IANA's registries and of the kernel's headers. A number is shown by the first of its names.
"""

#: IANA's protocol numbers, with the names of /etc/protocols
PROTOCOLS = {
    "ip": 0,
    "icmp": 1,
    "igmp": 2,
    "ggp": 3,
    "ipencap": 4,
    "st": 5,
    "tcp": 6,
    "egp": 8,
    "igp": 9,
    "pup": 12,
    "udp": 17,
    "hmp": 20,
    "xns-idp": 22,
    "rdp": 27,
    "iso-tp4": 29,
    "dccp": 33,
    "xtp": 36,
    "ddp": 37,
    "idpr-cmtp": 38,
    "ipv6": 41,
    "ipv6-route": 43,
    "ipv6-frag": 44,
    "idrp": 45,
    "rsvp": 46,
    "gre": 47,
    "esp": 50,
    "ah": 51,
    "skip": 57,
    "ipv6-icmp": 58,
    "icmpv6": 58,
    "ipv6-nonxt": 59,
    "ipv6-opts": 60,
    "rspf": 73,
    "vmtp": 81,
    "eigrp": 88,
    "ospf": 89,
    "ax.25": 93,
    "ipip": 94,
    "etherip": 97,
    "encap": 98,
    "pim": 103,
    "ipcomp": 108,
    "comp": 108,
    "vrrp": 112,
    "l2tp": 115,
    "isis": 124,
    "sctp": 132,
    "fc": 133,
    "mobility-header": 135,
    "udplite": 136,
    "mpls-in-ip": 137,
    "manet": 138,
    "hip": 139,
    "shim6": 140,
    "wesp": 141,
    "rohc": 142,
    "ethernet": 143,
}
#: the most frequent services. The language looks up the others in the system's list.
SERVICES = {
    "echo": 7,
    "discard": 9,
    "daytime": 13,
    "chargen": 19,
    "ftp-data": 20,
    "ftp": 21,
    "ssh": 22,
    "telnet": 23,
    "smtp": 25,
    "time": 37,
    "whois": 43,
    "domain": 53,
    "bootps": 67,
    "bootpc": 68,
    "tftp": 69,
    "http": 80,
    "pop3": 110,
    "sunrpc": 111,
    "auth": 113,
    "ntp": 123,
    "imap2": 143,
    "snmp": 161,
    "bgp": 179,
    "ldap": 389,
    "https": 443,
    "microsoft-ds": 445,
    "submission": 587,
    "ldaps": 636,
    "imaps": 993,
    "pop3s": 995,
    "openvpn": 1194,
    "nfs": 2049,
    "mysql": 3306,
    "sip": 5060,
    "mdns": 5353,
    "postgresql": 5432,
    "http-alt": 8080,
}
ICMP_TYPES = {
    "echo-reply": 0,
    "destination-unreachable": 3,
    "source-quench": 4,
    "redirect": 5,
    "echo-request": 8,
    "router-advertisement": 9,
    "router-solicitation": 10,
    "time-exceeded": 11,
    "parameter-problem": 12,
    "timestamp-request": 13,
    "timestamp-reply": 14,
    "info-request": 15,
    "info-reply": 16,
    "address-mask-request": 17,
    "address-mask-reply": 18,
}
#: the codes of "destination unreachable" that `reject` and `icmp code` know
ICMP_CODES = {
    "net-unreachable": 0,
    "host-unreachable": 1,
    "prot-unreachable": 2,
    "port-unreachable": 3,
    "frag-needed": 4,
    "net-prohibited": 9,
    "host-prohibited": 10,
    "admin-prohibited": 13,
}
ICMPX_CODES = {"no-route": 0, "port-unreachable": 1, "host-unreachable": 2, "admin-prohibited": 3}
# RFC 2474, 2597, 3246, 5865, 8622. "df" and "be" are other names of cs0.
DSCP = {
    "cs0": 0x00,
    "cs1": 0x08,
    "cs2": 0x10,
    "cs3": 0x18,
    "cs4": 0x20,
    "cs5": 0x28,
    "cs6": 0x30,
    "cs7": 0x38,
    "df": 0x00,
    "be": 0x00,
    "lephb": 0x01,
    "af11": 0x0A,
    "af12": 0x0C,
    "af13": 0x0E,
    "af21": 0x12,
    "af22": 0x14,
    "af23": 0x16,
    "af31": 0x1A,
    "af32": 0x1C,
    "af33": 0x1E,
    "af41": 0x22,
    "af42": 0x24,
    "af43": 0x26,
    "va": 0x2C,
    "ef": 0x2E,
}
ECN = {"not-ect": 0, "ect1": 1, "ect0": 2, "ce": 3}
CT_STATES = {"invalid": 1, "established": 2, "related": 4, "new": 8, "untracked": 64}
CT_STATUS = {
    "expected": 1,
    "seen-reply": 2,
    "assured": 4,
    "confirmed": 8,
    "snat": 0x10,
    "dnat": 0x20,
    "dying": 0x200,
}
CT_DIRECTIONS = {"original": 0, "reply": 1}
TCP_FLAGS = {"fin": 1, "syn": 2, "rst": 4, "psh": 8, "ack": 16, "urg": 32, "ecn": 64, "cwr": 128}
PACKET_TYPES = {"host": 0, "unicast": 0, "broadcast": 1, "multicast": 2, "other": 3}
#: the types of addresses in routing tables (RTN_*)
ADDRESS_TYPES = {
    "unspec": 0,
    "unicast": 1,
    "local": 2,
    "broadcast": 3,
    "anycast": 4,
    "multicast": 5,
    "blackhole": 6,
    "unreachable": 7,
    "prohibit": 8,
}
NF_PROTOCOLS = {"ipv4": 2, "ipv6": 10}
ETHER_TYPES = {"ip": 0x0800, "arp": 0x0806, "ip6": 0x86DD, "8021q": 0x8100, "8021ad": 0x88A8, "vlan": 0x8100}
BOOLEANS = {"exists": 1, "missing": 0}
#: the types of base chains, and the places that each can have
CHAIN_TYPES = {
    "filter": ("prerouting", "input", "forward", "output", "postrouting"),
    "nat": ("prerouting", "input", "output", "postrouting"),
    "route": ("output",),
}
BYTE_UNITS = {"bytes": 1, "kbytes": 1 << 10, "mbytes": 1 << 20}
TIME_UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800}


def sized(octets: int) -> tuple[int, str]:
    """Return bytes in the largest unit that needs no fraction, as nft prints them."""
    for name, size in reversed(BYTE_UNITS.items()):
        if octets and octets % size == 0:
            return octets // size, name
    return octets, "bytes"
