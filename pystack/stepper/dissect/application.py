"""The protocols above TCP and UDP: HTTP/1.1 (RFC 9112), DNS (RFC 1035) and the records of TLS (RFC 8446), as far as one segment has it.

The content says what it is, because programs use any port. Only DNS (with mDNS and LLMNR), DHCPv6 and VXLAN are looked for at their ports.
"""

from pystack.stepper.dissect import layout as t
from pystack.stepper.dissect.dhcpv6 import dissect as dhcpv6
from pystack.stepper.dissect.dns import dissect as dns
from pystack.stepper.dissect.tls import dissect as tls
from pystack.stepper.dissect.tree import Node
from pystack.stepper.dissect.tunnels import vxlan
from pystack.trace.tunnels import VXLAN_PORT

METHODS = (b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"CONNECT", b"OPTIONS", b"TRACE", b"PATCH")
#: mDNS (RFC 6762) and LLMNR (RFC 4795) have ports of their own
DNS_KINDS = {53: "dns", 5353: "mdns", 5355: "llmnr"}
DNS_PORTS = (53, 5353)
DHCPV6_PORTS = (546, 547)
#: the most lines of a head that become nodes
MOST_LINES = 100
#: the layers of this module
PROTOCOLS = ("http", "dns", "mdns", "llmnr", "tls")


def above_udp(data: bytes, base: int, end: int, ports: tuple[int, int], above: t.Above) -> list[Node]:
    """Return the layers that a datagram carries, if they are known."""
    for port, kind in DNS_KINDS.items():
        if port in ports:
            return dns(data, base, end, False, kind)
    if ports[1] in DHCPV6_PORTS:
        return dhcpv6(data, base, end)
    return vxlan(data, base, end, above) if ports[1] == VXLAN_PORT else []


def above_tcp(data: bytes, base: int, end: int, source: int, target: int) -> list[Node]:
    """Return the layer that a segment begins with, if it is known."""
    if end - base < 5:
        return []
    if source in DNS_PORTS or target in DNS_PORTS:
        return dns(data, base, end, True)
    if 20 <= data[base] <= 23 and data[base + 1] == 3 and data[base + 2] <= 4:
        return tls(data, base, end)
    word = data[base : min(base + 8, end)].partition(b" ")[0]
    if word in METHODS or data[base : base + 7] == b"HTTP/1.":
        return http(data, base, end)
    return []


def http(data: bytes, base: int, end: int) -> list[Node]:
    """Dissect the head of a request or an answer, up to the empty line or the end of the segment."""
    answer = data[base : base + 5] == b"HTTP/"
    kind = "response" if answer else "request"
    nodes: list[Node] = []
    at, first = base, ""
    for number in range(MOST_LINES):
        stop = data.find(b"\r\n", at, end)
        if stop < 0:
            nodes.append(t.note("the head goes on in the next segment", end, end))
            at = end
            break
        if number == 0:
            first = _text(data[at:stop])
            nodes.append(_first_line(data, at, stop, answer, first))
        elif stop == at:
            nodes.append(Node("End of the head", "", at * 8, 16, data[at : at + 2], "", "an empty line"))
            at += 2
            break
        else:
            name, _, value = _text(data[at:stop]).partition(":")
            nodes.append(
                Node(name, f"http.{kind}.line", at * 8, (stop + 2 - at) * 8, data[at : stop + 2], value.strip())
            )
        at = stop + 2
    if at < end:
        nodes.append(t.raw(data, at, end, "http.file_data", "Body"))
    return [t.header("HTTP", "http", nodes, base, end, first)]


def _first_line(data: bytes, at: int, stop: int, answer: bool, text: str) -> Node:
    names = (
        ("response.version", "response.code", "response.phrase")
        if answer
        else ("request.method", "request.uri", "request.version")
    )
    parts = []
    place = at
    for number, word in enumerate(data[at:stop].split(b" ", 2)):
        title = names[number].rpartition(".")[2].capitalize()
        parts.append(Node(title, f"http.{names[number]}", place * 8, len(word) * 8, word, _text(word)))
        place += len(word) + 1
    title = "Status line" if answer else "Request line"
    return Node(title, "", at * 8, (stop + 2 - at) * 8, data[at : stop + 2], text, "", parts)


def _text(piece: bytes) -> str:
    text = piece[:200].decode("latin-1")
    return "".join(char if char.isprintable() else "·" for char in text) + ("..." if len(piece) > 200 else "")
