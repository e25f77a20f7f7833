"""Says what a UDP datagram carries, if it is a message of DNS or DHCP."""

import pystack_c.const as C
from pystack.dhcp.message import Malformed, read
from pystack.stepper.records import Frame
from pystack.trace import headers
from pystack.visible import one_line

DNS, DHCP_SERVER, DHCP_CLIENT = 53, 67, 68
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
_TYPES = {1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 12: "PTR", 15: "MX", 16: "TXT", 28: "AAAA", 33: "SRV", 65: "HTTPS"}
_CODES = {1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN, so the name does not exist", 4: "NOTIMP", 5: "REFUSED"}
MESSAGE_TYPE = 53
_REFERRED, _NOTHING = "it has no answer, but names the servers that know more", "it has no such record"
#: how many labels of a name are read
LABELS = 32


def carries(frame: Frame) -> str:
    """Return a sentence about the message in a frame, or ""."""
    return said_by(*_payload(frame))


def said_by(ports: set[int], payload: bytes) -> str:
    """Return a sentence about the message between these ports, or ""."""
    if DNS in ports:
        return _dns(payload)
    return _dhcp(payload) if ports & {DHCP_SERVER, DHCP_CLIENT} else ""


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
        short = {_REFERRED: "names other servers", _NOTHING: "no such record"}
        result = _result(payload)
        return f"DNS: {question}: {short.get(result, result.split(',')[0])}"
    if ports & {DHCP_SERVER, DHCP_CLIENT}:
        return _dhcp(payload).partition(":")[0]
    return ""


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
    said = _DHCP.get((message.options.get(MESSAGE_TYPE) or b"\0")[0], "")
    return f"DHCP {said} (RFC 2131 3.1)." if said else ""


def _dns(payload: bytes) -> str:
    """Return a sentence about a message of DNS (RFC 1035 4.1)."""
    question = _question(payload)
    if not question:
        return ""
    if not payload[2] & 0x80:
        return f"DNS: it asks for the records of {question} (RFC 1035 4.1)."
    result = _result(payload)
    said = (
        result
        if result.startswith("it ")
        else f"it has {result} in answer"
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
    if answers:
        return f"{answers} record{'s' if answers > 1 else ''}"
    return _REFERRED if referred else _NOTHING
