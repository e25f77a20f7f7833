"""The order of the course: its parts, each with its scenarios. A scenario that no part names comes after all parts."""

#: (title of the part, names of its scenarios); a name that no module registers is skipped
PARTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("IP packets, ICMP and fragments", ("ping", "traceroute", "fragment")),
    ("ARP", ("arp",)),
    ("Addresses and routes", ("dhcp", "routing")),
    ("UDP", ("udp",)),
    ("TCP: a connection and its data", ("handshake", "http-get", "simultaneous-open")),
    ("TCP: flow control", ("zero-window",)),
    ("TCP: congestion control and loss",
     ("slow-start", "loss-fast-retransmit", "sack", "rto", "ecn", "bufferbloat", "bbr-vs-cubic")),
    ("NAT", ("nat", "port-forward", "hairpin")),
    ("TCP: the states of a connection", ("reset", "time-wait")),
    ("DNS", ("dns-recursion",)),
    ("MTU and path MTU discovery", ("pmtud", "pmtud-blackhole")),
    ("Nagle's algorithm and delayed ACKs", ("nagle", "delayed-ack")),
    ("The cost of a connection", ("keep-alive", "tfo")),
    ("Listening servers", ("accept-queue", "syn-flood")),
    ("Head-of-line blocking", ("head-of-line",)),
    ("Proxies and load balancers", ("load-balancer-l4", "load-balancer-l7")),
    ("Access control", ("firewall-reject-or-drop",)),
    ("Containers", ("docker-publish",)),
    ("HTTP/2, MongoDB and server-sent events", ("http2", "mongodb", "sse")),
    ("The anatomy of a POST", ("post",)),
)  # fmt: skip
REST = "More"


def parts(names: "list[str]") -> "list[tuple[str, list[str]]]":
    """Return the parts that have any of these names, in the order of the course. The last part has all other names."""
    known = set(names)
    found = [(title, [name for name in listed if name in known]) for title, listed in PARTS]
    placed = {name for _, listed in found for name in listed}
    found.append((REST, [name for name in names if name not in placed]))
    return [(title, listed) for title, listed in found if listed]
