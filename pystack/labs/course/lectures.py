"""The course, row by row: its lectures, their topic, and the labs and scenarios for it. docs/reference/course.md has the same table."""

from typing import NamedTuple


class CourseRow(NamedTuple):
    """A topic of the course. `lectures` is empty for the topic that is a promise of the whole course."""

    lectures: tuple[int, ...]
    topic: str
    labs: tuple[int, ...]
    scenarios: tuple[str, ...]

    @property
    def numbers(self) -> str:
        """The numbers of the lectures as a text, such as "8, 10", or "-"."""
        return ", ".join(map(str, self.lectures)) or "-"


ROWS = (
    CourseRow((5, 6, 7), "Client and server, the layers, from host to host", (1,), ("http-get",)),
    CourseRow((8, 10), "IP's parts, and its packet", (2,), ("fragment",)),
    CourseRow((9,), "ICMP, ping and traceroute", (3, 37), ("ping", "traceroute")),
    CourseRow((11,), "ARP", (4,), ("arp",)),
    CourseRow((12,), "Capture IP, ARP and ICMP", (5,), ("arp", "ping")),
    CourseRow((13,), "An example of routing", (6,), ("routing",)),
    CourseRow((14,), "Private addresses, and a WiFi with a portal", (7,), ("nat",)),
    CourseRow((15, 16, 17), "UDP, its datagram, for and against", (8,), ("udp",)),
    CourseRow((18,), "A UDP server of one's own, in JavaScript", (40,), ("udp",)),
    CourseRow((19,), "A UDP server of one's own, in C", (34,), ("udp",)),
    CourseRow((20,), "Capture UDP", (5, 27), ("udp",)),
    CourseRow((21, 22), "TCP, and its segment", (9,), ("handshake", "sack")),
    CourseRow((23,), "Flow control", (10,), ("zero-window",)),
    CourseRow(
        (24, 25),
        "Congestion control: slow start, avoidance, recovery",
        (11, 12, 35, 38),
        ("slow-start", "loss-fast-retransmit", "rto", "sack", "ecn", "bbr-vs-cubic", "bufferbloat"),
    ),
    CourseRow((26,), "NAT", (7,), ("nat", "port-forward", "hairpin")),
    CourseRow(
        (27,),
        "The states of a connection",
        (13,),
        ("handshake", "simultaneous-open", "reset", "time-wait", "keep-alive"),
    ),
    CourseRow((28,), "For and against TCP", (19, 22, 44), ("head-of-line",)),
    CourseRow((29,), "A TCP server of one's own, in JavaScript", (40,), ("accept-queue",)),
    CourseRow((30,), "A TCP server of one's own, in C", (39,), ("accept-queue",)),
    CourseRow((31,), "Capture TCP", (5, 28), ("http-get",)),
    CourseRow((32, 33), "Popular protocols, and DNS", (14,), ("dns-recursion", "dhcp")),
    CourseRow((34,), "TLS", (15,), ("post:resumption",)),
    CourseRow((36,), "MSS, MTU, and the MTU of a path", (16,), ("pmtud", "pmtud-blackhole", "fragment")),
    CourseRow((37,), "Nagle's algorithm", (17,), ("nagle",)),
    CourseRow((38,), "Delayed acknowledgements", (17, 18), ("delayed-ack",)),
    CourseRow((39,), "What a connection costs", (19, 43), ("post:keep-alive", "post:pool")),
    CourseRow((40,), "TCP Fast Open", (20,), ("tfo", "post:fast-open")),
    CourseRow((41,), "Listening servers", (21,), ("accept-queue", "syn-flood")),
    CourseRow((42,), "Head-of-line blocking", (22, 44), ("head-of-line",)),
    CourseRow((43,), "Proxies and reverse proxies", (23,), ("post", "post:near-proxy", "post:streaming")),
    CourseRow((44,), "Balancing in layer 4 and in layer 7", (24,), ("load-balancer-l4", "load-balancer-l7")),
    CourseRow((45,), "Network access to a database", (25, 43), ("firewall-reject-or-drop",)),
    CourseRow((46,), "Docker's networks", (26,), ("docker-publish", "port-forward")),
    CourseRow((47,), "Wireshark: UDP", (27,), ("udp",)),
    CourseRow((48,), "Wireshark: TCP and HTTP", (28, 29, 37), ("http-get", "loss-fast-retransmit")),
    CourseRow((49,), "Wireshark: HTTP/2, with TLS decrypted", (30,), ("http2",)),
    CourseRow((50,), "Wireshark: MongoDB", (31,), ("mongodb",)),
    CourseRow((51,), "Wireshark: server-sent events", (32,), ("sse",)),
    CourseRow((52,), "Do proxies in layer 4 buffer segments?", (33,), ("load-balancer-l4", "post:streaming")),
    CourseRow(
        (),
        "The promise of the course: where the time of a POST goes",
        (36,),
        ("post", "post:one-write", "post:large-window", "post:bbr", "post:no-loss", "post:warm-dns"),
    ),
)


def lectures_of(number: int) -> str:
    """Return the numbers of the lectures that a lab belongs to, such as "24, 25", or "" if the table does not have the lab."""
    found = sorted({lecture for row in ROWS if number in row.labs for lecture in row.lectures})
    return ", ".join(map(str, found))


def scenarios_of(number: int) -> list[str]:
    """Return the names of the scenarios in the rows of a lab, each once. A row that is about the lab alone comes first."""
    rows = sorted((row for row in ROWS if number in row.labs), key=lambda row: len(row.labs))
    return list(dict.fromkeys(name for row in rows for name in row.scenarios))
