"""Says what a packet carries, if it is a message of DNS (or mDNS, LLMNR), DHCP or DHCPv6, or another packet in a tunnel."""

import pystack_c.const as C
from pystack.dhcp.message import Malformed, read
from pystack.stepper.records import Frame
from pystack.trace import headers, tunnels
from pystack.trace.summary import Summarizer
from pystack.visible import one_line

DNS, DHCP_SERVER, DHCP_CLIENT, MDNS, LLMNR = 53, 67, 68, 5353, 5355
DHCPV6 = {546, 547}
#: const of option 53 (RFC 2132 9.6) -> what the message says
_DHCP = {
    1: "DISCOVER: it asks all servers for an address",
    2: "OFFER: the server offers an address",
    3: "REQUEST: the client asks for the address that it chose, or for more time",
    4: "DECLINE: another host uses the address already",
    5: "ACK: the server gives the address for the time of the lease",
    6: "NAK: the client may not use the address",
    7: "RELEASE: the client gives its address back",
    8: "INFORM: the client asks for settings only",
}
#: a message of DHCPv6 (RFC 8415 7.3) -> what it says
_DHCPV6 = {
    1: "SOLICIT: it asks all servers for an address",
    2: "ADVERTISE: the server offers an address",
    3: "REQUEST: the client asks the server that it chose for an address",
    4: "CONFIRM: the client asks whether its address still fits this link",
    5: "RENEW: the client asks its server for more time",
    6: "REBIND: the client asks all servers for more time, because its own does not answer",
    7: "REPLY: the server answers",
    8: "RELEASE: the client gives its address back",
    9: "DECLINE: another host uses the address already",
    10: "RECONFIGURE: the server tells the client to ask again",
    11: "INFORMATION-REQUEST: the client asks for settings only",
    12: "RELAY-FORW: a relay passes a message of a client on to a server",
    13: "RELAY-REPL: a server answers by way of a relay",
}
_TUNNELS = {"IP in IP": "RFC 2003, RFC 4213", "GRE": "RFC 2784", "VXLAN": "RFC 7348"}
_NUMBERED = {"GRE": " with the key {}", "VXLAN": " of the virtual network {}"}
_TYPES = {1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 12: "PTR", 15: "MX", 16: "TXT", 28: "AAAA", 33: "SRV", 65: "HTTPS"}
_CODES = {
    1: "FORMERR, so the server does not understand the question",
    2: "SERVFAIL, so the server could not find the answer",
    3: "NXDOMAIN, so the name does not exist",
    4: "NOTIMP, so the server does not know such questions",
    5: "REFUSED, so the server does not answer this client or this question",
}
MESSAGE_TYPE, REQUESTED, LEASE_TIME = 53, 50, 51
OFFER, REQUEST, ACK = 2, 3, 5
#: what is said of an answer with records
IN_ANSWER = "in answer"
_TRUNCATED = "it has no whole answer: the records do not fit into the datagram (truncated), so the client must ask again over TCP"
_MIXED = " Names do not depend on case, and the client has mixed it at random: a forged answer would have to guess it."
_REFERRED, _NOTHING = "it has no answer, but names the servers that know more", "it has no such record"
#: how many labels of a name are read
LABELS = 32


def carries(frame: Frame) -> str:
    """Return a sentence about the message in a frame, or ""."""
    return said_by(*_payload(frame))


def said_by(ports: set[int], payload: bytes) -> str:
    """Return a sentence about the message between these ports, or ""."""
    if DNS in ports:
        return dns(payload)
    if ports & {MDNS, LLMNR}:
        return _link_names(ports, payload)
    if ports & DHCPV6:
        said = _DHCPV6.get(payload[0] if payload else 0, "")
        return f"DHCPv6 {said} (RFC 8415 7.3)." if said else ""
    return _dhcp(payload) if ports & {DHCP_SERVER, DHCP_CLIENT} else ""


def tunnel(frame: Frame) -> str:
    """Return a sentence about the packet that a frame carries through a tunnel, or ""."""
    found = _carried(frame)
    if found is None:
        return ""
    carried, line = found
    which = _NUMBERED.get(carried.name, "").format(carried.number) if carried.number >= 0 else ""
    return f"It carries another packet through a tunnel of {carried.name}{which} ({_TUNNELS[carried.name]}). Inside: {line}."


def _carried(frame: Frame) -> tuple[tunnels.Carried, str] | None:
    """Return what a frame carries through a tunnel, and a line about it."""
    packet = headers.find(frame.data, frame.link, frame.length)
    carried = tunnels.find(frame.data, packet) if packet is not None else None
    if packet is None or carried is None:
        return None
    inner = bytes(frame.data[carried.at : packet.end])
    if carried.ethertype in (headers.IPV4, headers.IPV6):
        return carried, Summarizer(relative=False).line(inner, C.LINK_IP)
    if carried.ethertype == tunnels.BRIDGED:
        return carried, Summarizer(relative=False).line(inner, C.LINK_ETHERNET)
    return carried, f"ethertype {carried.ethertype:#06x}, length {len(inner)}"


def _link_names(ports: set[int], payload: bytes) -> str:
    """Return a sentence about a message by which the hosts of a link find each other's names."""
    name, rfc = ("mDNS", "RFC 6762 5") if MDNS in ports else ("LLMNR", "RFC 4795 2")
    question = _question(payload)
    if len(payload) < 12:
        return ""
    if not payload[2] & 0x80:
        return f"{name}: it asks all hosts of the link for the records of {question} ({rfc})." if question else ""
    count = int.from_bytes(payload[6:8], "big")
    records = f"{count} record{'' if count == 1 else 's'}"
    if name == "mDNS":
        return f"mDNS: it tells the hosts of the link {records} of its names ({rfc})."
    return f"LLMNR: the host that has the name {question} answers with {records} ({rfc})." if question else ""


def of_datagram(data: bytes) -> str:
    """Return a sentence about the message in a datagram with its header, or ""."""
    if len(data) < 8:
        return ""
    return said_by({int.from_bytes(data[:2], "big"), int.from_bytes(data[2:4], "big")}, data[8:])


def brief(frame: Frame) -> str:
    """Return a few words about the message in a frame, for its arrow, such as "DNS: www.shop.test (A)?" or "DHCP DISCOVER"; "" for other frames."""
    ports, payload = _payload(frame)
    if DNS in ports:
        question = _question(payload)
        if not question:
            return ""
        if not payload[2] & 0x80:
            return f"DNS: {question}?"
        short = {_REFERRED: "names other servers", _NOTHING: "no such record", _TRUNCATED: "truncated"}
        result = _result(payload)
        return f"DNS: {question}: {short.get(result, result.split(',')[0])}"
    if ports & ({DHCP_SERVER, DHCP_CLIENT, MDNS, LLMNR} | DHCPV6):
        said = said_by(ports, payload)
        if ports & {MDNS, LLMNR}:
            question = _question(payload)
            asks = len(payload) > 2 and not payload[2] & 0x80
            return (
                f"{said.partition(':')[0]}: {question}{'?' if asks else ''}"
                if said and question
                else said.partition(":")[0]
            )
        return said.partition(":")[0]
    found = _carried(frame)
    if found is None:
        return ""
    number = f" {found[0].number}" if found[0].number >= 0 else ""
    return one_line(f"{found[0].name}{number}: {found[1]}")


def _payload(frame: Frame) -> tuple[set[int], bytes]:
    """Return both ports and the payload of a UDP datagram, or no ports."""
    data = frame.data
    found = headers.find(data, frame.link)
    if found is None or found.proto != C.IPPROTO_UDP or found.offset or len(data) < found.at + 8:
        return set(), b""
    at = found.at
    ports = {int.from_bytes(data[at : at + 2], "big"), int.from_bytes(data[at + 2 : at + 4], "big")}
    return ports, bytes(data[at + 8 :])


def _dhcp(payload: bytes) -> str:
    try:
        message = read(payload)
    except Malformed:
        return ""
    kind = (message.options.get(MESSAGE_TYPE) or b"\0")[0]
    said = _DHCP.get(kind, "")
    if not said:
        return ""
    lease, wanted = message.number(LEASE_TIME), message.number(REQUESTED)
    if kind in (OFFER, ACK) and message.yiaddr:
        time = f" for {lease} s" if lease is not None else ""
        does = "offers" if kind == OFFER else "gives"
        said = f"{said.partition(':')[0]}: the server {does} the client the address {_text(message.yiaddr)}{time}"
    elif kind == REQUEST and message.ciaddr:
        said = f"REQUEST: the client asks for more time for its address {_text(message.ciaddr)}"
    elif kind == REQUEST and wanted:
        said = f"REQUEST: the client asks for the address {_text(wanted)}, which a server has offered to it or which it had before"
    return f"DHCP {said} (RFC 2131 3.1)."


def _text(address: int) -> str:
    """Return a number of 32 bits as an address."""
    return ".".join(str(byte) for byte in address.to_bytes(4, "big"))


def dns(payload: bytes) -> str:
    """Return a sentence about a message of DNS (RFC 1035 4.1)."""
    question = _question(payload)
    if not question:
        return ""
    if not payload[2] & 0x80:
        mixed = question.partition(" (")[0]
        guard = "" if mixed in (mixed.lower(), mixed.upper()) else _MIXED
        return f"DNS: it asks for the records of {question} (RFC 1035 4.1).{guard}"
    result = _result(payload)
    said = (
        result
        if result.startswith("it ")
        else f"it has {result} {IN_ANSWER}"
        if "record" in result
        else f"the answer is the {result}"
    )
    return f"DNS: to the question for {question}, {said} (RFC 1035 4.1)."


def _question(payload: bytes) -> str:
    """Read the first question of a message, or return ""."""
    if len(payload) < 12 or int.from_bytes(payload[4:6], "big") < 1:
        return ""
    labels: list[str] = []
    at = 12
    while at < len(payload) and payload[at] and len(labels) < LABELS:
        if payload[at] > 63:
            return ""
        labels.append(payload[at + 1 : at + 1 + payload[at]].decode("ascii", "replace"))
        at += 1 + payload[at]
    kind = _TYPES.get(int.from_bytes(payload[at + 1 : at + 3], "big"), "")
    return one_line(f"{'.'.join(labels) or '.'}{f' ({kind})' if kind else ''}")


def _result(payload: bytes) -> str:
    """Return what an answer says: an error, how many records, or a sentence."""
    code, answers = payload[3] & 15, int.from_bytes(payload[6:8], "big")
    referred = int.from_bytes(payload[8:10], "big")
    if code:
        return f"error {_CODES.get(code, str(code))}"
    if payload[2] & 2:
        return _TRUNCATED
    if answers:
        return f"{answers} record{'s' if answers > 1 else ''}"
    return _REFERRED if referred else _NOTHING
