"""Parses packet lines."""

import struct

from pystack.pkt import model
from pystack.pkt.cursor import TokenCursor
from pystack.pkt.errors import ScriptError, Unsupported
from pystack.pkt.lexer import Token
from pystack.pkt.model import IcmpSpec, IpInfo, ScriptPacket, TcpOption, TcpSpec, UdpSpec

#: the most bytes of options in a TCP header
MAX_OPTIONS = 40
ECN = {"noecn": 0, "ect1": 1, "ect0": 2, "ce": 3}

ICMP_TYPES = {
    "echo_reply": 0,
    "unreachable": 3,
    "source_quench": 4,
    "redirect": 5,
    "echo_request": 8,
    "time_exceeded": 11,
    "parameter_problem": 12,
    "timestamp_request": 13,
    "timestamp_reply": 14,
    "information_request": 15,
    "information_reply": 16,
    "address_mask_request": 17,
    "address_mask_reply": 18,
}
UNREACHABLE_CODES = (
    "net_unreachable host_unreachable protocol_unreachable port_unreachable frag_needed source_route_failed "
    "net_unknown host_unknown source_host_isolated net_prohibited host_prohibited net_unreachable_for_tos "
    "host_unreachable_for_tos packet_filtered precedence_violation precedence_cutoff"
).split()
ICMPV6_NAMES = (
    "packet_too_big",
    "no_route",
    "admin_prohibited",
    "not_neighbour",
    "address_unreachable",
    "header_field",
)
EXCEEDED_CODES = ["ttl_exceeded_in_transit", "frag_reass_exceeded"]


def parse_packet(cursor: TokenCursor) -> ScriptPacket:
    """Parse `<` or `>`, the IP header, and the transport."""
    inbound = cursor.next().value == "<"
    cursor.foreign()
    ip = _ip_info(cursor)
    cursor.foreign()
    if inbound and ip.check == model.TOS_ECT01:
        raise ScriptError(cursor.token.line, "[ect01] is for outbound packets only")
    packet = ScriptPacket(inbound, ip, TcpSpec())
    if cursor.take_word("udp"):
        _ports(cursor, packet)
        cursor.expect("(")
        packet.body = UdpSpec(cursor.u16("a length"))
        cursor.expect(")")
    elif cursor.take_word("icmp"):
        packet.body = _icmp(cursor)
        if packet.ip.quoted is not None:
            packet.body.proto = 6
            packet.body.seq, packet.body.length = packet.ip.quoted
    elif packet.ip.quoted is not None:
        raise cursor.error("'icmp' after the quoted packet")
    else:
        _ports(cursor, packet)
        packet.body = parse_tcp(cursor, inbound)
    return packet


def _ip_info(cursor: TokenCursor) -> IpInfo:
    info = IpInfo()
    if not (cursor.is_punct("[") or cursor.is_punct("(")):
        return info
    closing = "]" if cursor.next().value == "[" else ")"
    while not cursor.take_punct(closing):
        if cursor.token.kind == "int":
            # the older notation: the packet that an ICMP message quotes comes first
            tcp = TcpSpec()
            _sequence(cursor, tcp)
            info.quoted = (tcp.seq, tcp.length)
            continue
        token = cursor.next()
        name = token.value
        if name == "ecn":
            token = cursor.next()
            name = token.value
        if name in ECN:
            info.check, info.tos = model.TOS_ECN, info.tos | ECN[str(name)]
        elif name == "ect01":
            info.check = model.TOS_ECT01
        elif name in ("tos", "class"):
            info.check, info.tos = model.TOS_ALL, cursor.expect_int("a TOS byte", 0, 255)
        elif name == "ttl":
            info.ttl = cursor.expect_int("a TTL", 0, 255)
        elif name in ("flowlabel", "hlim"):
            raise Unsupported(token.line, "IPv6 is not supported")
        else:
            raise ScriptError(token.line, f"{token.text!r} does not belong to an IP header", token.column)
        if not cursor.is_punct(closing):
            cursor.expect(",")
    return info


def _ports(cursor: TokenCursor, packet: ScriptPacket) -> None:
    if cursor.token.kind == "int" and cursor.ahead().text == ">":
        packet.sport = cursor.u16("a port")
        cursor.expect(">")
        packet.dport = cursor.u16("a port")


def parse_tcp(cursor: TokenCursor, inbound: bool) -> TcpSpec:
    """Parse flags seq [ack N] [win N] [urg N] [<options>]."""
    line = cursor.token.line
    spec = TcpSpec()
    _flags(cursor, spec)
    _sequence(cursor, spec)
    if cursor.take_word("ack"):
        spec.ack = cursor.u32("an acknowledgement")
    if cursor.take_word("win"):
        spec.window = cursor.u16("a window")
    if cursor.take_word("urg"):
        spec.urg = cursor.u16("an urgent pointer")
    if cursor.is_punct("<") and cursor.ahead().kind in ("word", "int", "ellipsis"):
        if not _is_inbound_packet(cursor):
            cursor.next()
            _options(cursor, spec)
    if spec.options is None and inbound:
        raise ScriptError(line, "<...> for the options is for outbound packets only")
    if spec.options is not None and sum(1 if o.kind < 2 else 2 + len(o.data) for o in spec.options) % 4:
        raise ScriptError(line, "the options do not fill a multiple of four bytes: pad them with nop or eol")
    if cursor.is_punct("[") and cursor.ahead().text == "cause_code":
        raise Unsupported(line, "diagnostic payloads of RST are not supported")
    spec.udp = _around(cursor)
    return spec


def _around(cursor: TokenCursor) -> "tuple[int, int] | None":
    """Parse `/udp(9811 > 1)`, the datagram around a segment."""
    if not cursor.take_punct("/"):
        return None
    if not cursor.take_word("udp"):
        raise cursor.error("'udp'")
    cursor.expect("(")
    sport = cursor.u16("a port")
    cursor.expect(">")
    ports = sport, cursor.u16("a port")
    cursor.expect(")")
    return ports


def _is_inbound_packet(cursor: TokenCursor) -> bool:
    """Return True if `<` starts a packet whose time is missing. Otherwise it starts options, which are names."""
    after = cursor.ahead(2)
    return cursor.ahead().kind == "int" and after.text not in (">", ",")


def _flags(cursor: TokenCursor, spec: TcpSpec) -> None:
    """Parse `S`, `S.`, `.`, `SEW`, `F.5` (a digit is the ACE counter), or `-` for none."""
    letters = ""
    token = cursor.token
    if cursor.take_punct("-"):
        return
    while token.kind in ("word", "float") or token.kind == "punct" and token.value == ".":
        letters += token.text
        cursor.next()
        token = cursor.token
    if not letters:
        raise cursor.error("a packet's flags")
    for letter in letters:
        if letter.isdigit():
            if spec.ace is not None or letter > "7":
                raise ScriptError(token.line, f"flags {letters!r}: the ACE counter is one digit, 0..7")
            spec.ace = int(letter)
        elif letter not in model.FLAG_LETTERS:
            raise ScriptError(token.line, f"{letter!r} is not a TCP flag")
        else:
            spec.flags |= model.FLAG_LETTERS[letter]
    if spec.ace is not None:
        if spec.flags & (model.ECE | model.CWR | model.AE):
            raise ScriptError(token.line, f"flags {letters!r}: use either the ECN bits or the ACE counter")
        spec.flags |= (spec.ace & 1) * model.ECE | (spec.ace >> 1 & 1) * model.CWR | (spec.ace >> 2) * model.AE


def _sequence(cursor: TokenCursor, spec: TcpSpec) -> None:
    if cursor.token.kind == "ellipsis":
        cursor.next()
        spec.seq_ignored = True
    else:
        line = cursor.token.line
        spec.seq = cursor.u32("a sequence number")
        cursor.expect(":")
        end = cursor.u32("the sequence number of the end")
    cursor.expect("(")
    spec.length = cursor.u16("a payload length")
    cursor.expect(")")
    if not spec.seq_ignored and end != (spec.seq + spec.length) & 0xFFFFFFFF:
        raise ScriptError(line, f"{spec.seq} + {spec.length} is not {end}")
    spec.seq_absolute = cursor.take_punct("!")


def _icmp(cursor: TokenCursor) -> IcmpSpec:
    token = cursor.token
    name = cursor.expect_word("an ICMP type")
    if name in ICMPV6_NAMES or cursor.token.value in ICMPV6_NAMES:
        raise Unsupported(token.line, "IPv6 is not supported")
    if name in ICMP_TYPES:
        spec = IcmpSpec(ICMP_TYPES[name], 0)
    elif name.startswith("type_") and name[5:].isdigit():
        spec = IcmpSpec(_byte(token, name[5:], "an ICMP type"), 0)
    else:
        raise ScriptError(token.line, f"unknown ICMP type {name!r}", token.column)
    if cursor.token.kind == "word" and not cursor.is_word("mtu", "id"):
        token = cursor.token
        code = cursor.expect_word()
        if code.startswith("code_") and code[5:].isdigit():
            spec.code = _byte(token, code[5:], "an ICMP code")
        elif spec.type == 3 and code in UNREACHABLE_CODES:
            spec.code = UNREACHABLE_CODES.index(code)
        elif spec.type == 11 and code in EXCEEDED_CODES:
            spec.code = EXCEEDED_CODES.index(code)
        else:
            raise ScriptError(token.line, f"unknown ICMP code {code!r}", token.column)
    if cursor.take_word("mtu"):
        spec.mtu = cursor.u16("an MTU")
    if cursor.take_word("id"):
        spec.ident = cursor.u16("an identifier")
    if cursor.take_punct("["):
        _quoted(cursor, spec)
        cursor.expect("]")
    return spec


def _byte(token: Token, digits: str, what: str) -> int:
    """Parse the digits of type_N or code_N."""
    value = int(digits[:4]) if digits.isascii() else 256
    if value > 255:
        raise ScriptError(token.line, f"{what} is 0..255", token.column)
    return value


def _quoted(cursor: TokenCursor, spec: IcmpSpec) -> None:
    """Parse [seq:end(length)], [udp (length)] or [raw (length)]."""
    cursor.foreign()
    if cursor.is_word("udp", "raw"):
        spec.proto = 17 if cursor.next().value == "udp" else 255
        if cursor.token.kind == "int":
            raise Unsupported(cursor.token.line, "ports in a quoted UDP header are not supported")
        cursor.expect("(")
        spec.length = cursor.u16("a length")
        cursor.expect(")")
        return
    tcp = TcpSpec()
    _sequence(cursor, tcp)
    spec.seq, spec.length = tcp.seq, tcp.length
    spec.udp = _around(cursor)


def _options(cursor: TokenCursor, spec: TcpSpec) -> None:
    """Parse everything between < and >."""
    if cursor.token.kind == "ellipsis":
        cursor.next()
        cursor.expect(">")
        spec.options = None
        return
    options: list[TcpOption] = []
    if cursor.ahead().text == ">" and _is_hex(cursor.token) and len(cursor.token.text) >= 4:
        options = decode_options(_blob(cursor))
    else:
        while True:
            options.append(_option(cursor, spec))
            if len(options) > MAX_OPTIONS:
                raise ScriptError(cursor.token.line, "more than 40 bytes of TCP options")
            if not cursor.take_punct(","):
                break
    cursor.expect(">")
    spec.options = options
    if len(encode_options(options)) > MAX_OPTIONS:
        raise ScriptError(cursor.token.line, "more than 40 bytes of TCP options")


def _is_hex(token: Token) -> bool:
    try:
        return token.kind in ("int", "word") and len(bytes.fromhex(token.text)) > 0
    except ValueError:
        return False


def _blob(cursor: TokenCursor) -> bytes:
    """Parse hex digits, or nothing."""
    if len(cursor.token.text) > 2 * MAX_OPTIONS and cursor.token.kind in ("int", "word"):
        raise ScriptError(cursor.token.line, "more than 40 bytes of TCP options", cursor.token.column)
    if not _is_hex(cursor.token):
        if cursor.token.kind in ("int", "word"):
            raise cursor.error("an even number of hex digits")
        return b""
    return bytes.fromhex(cursor.next().text)


def _option(cursor: TokenCursor, spec: TcpSpec) -> TcpOption:
    token = cursor.token
    name = cursor.expect_word("a TCP option")
    if name in ("nop", "eol"):
        return TcpOption(1 if name == "nop" else 0)
    if name == "mss":
        return TcpOption(2, struct.pack(">H", cursor.u16("an MSS")))
    if name == "wscale":
        return TcpOption(3, bytes([cursor.expect_int("a shift", 0, 255)]))
    if name == "sackOK":
        return TcpOption(4)
    if name == "sack":
        return TcpOption(5, _sack(cursor))
    if name == "TS":
        return _timestamps(cursor, spec)
    if name == "md5":
        if cursor.take_word("valid"):
            raise Unsupported(token.line, "TCP-MD5 is not supported")
        return TcpOption(19, _blob(cursor))
    if name == "FO":
        return TcpOption(34, _blob(cursor))
    if name in ("FOEXP", "exp-FO", "EXP-FO"):
        return TcpOption(254, b"\xf9\x89" + _blob(cursor))
    if name == "gen":
        kind = cursor.expect_int("an option kind", 0, 255)
        return TcpOption(kind, _blob(cursor))
    if name in ("ECN", "AccECN0", "AccECN1"):
        return _accecn(cursor, name)
    if name.startswith("exp-"):
        raise Unsupported(token.line, f"the TCP option {name} is not supported")
    raise ScriptError(token.line, f"unknown TCP option {name!r}", token.column)


def _sack(cursor: TokenCursor) -> bytes:
    blocks = b""
    while not blocks or cursor.token.kind == "int":
        left = cursor.u32("the left edge of a SACK block")
        cursor.expect(":")
        blocks += struct.pack(">II", left, cursor.u32("the right edge of a SACK block"))
        if len(blocks) > MAX_OPTIONS:
            raise ScriptError(cursor.token.line, "more than 40 bytes of TCP options")
    return blocks


def _timestamps(cursor: TokenCursor, spec: TcpSpec) -> TcpOption:
    value = 0
    if not cursor.take_word("val"):
        raise cursor.error("'val'")
    if cursor.token.kind == "ellipsis":
        cursor.next()
        spec.ts_val_ignored = True
    else:
        value = cursor.u32("a timestamp")
    if not cursor.take_word("ecr"):
        raise cursor.error("'ecr'")
    echo = cursor.u32("a timestamp echo reply")
    spec.ts_ecr_absolute = cursor.take_punct("!")
    return TcpOption(8, struct.pack(">II", value, echo))


def _accecn(cursor: TokenCursor, name: str) -> TcpOption:
    """Parse RFC 9768's option: kind 172 starts with the ECT(0) counter, 174 with that of ECT(1)."""
    zero = ("e0b", "ee0b"), ("ceb", "eceb"), ("e1b", "ee1b")
    if name == "AccECN1" or name == "ECN" and cursor.is_word("e1b"):
        kind, order = 174, (zero[2], zero[1], zero[0])
    else:
        kind, order = 172, zero
    data = b""
    for names in order:
        if not cursor.take_word(*names):
            break
        data += cursor.expect_int("a byte counter", 0, 0xFFFFFF).to_bytes(3, "big")
    return TcpOption(kind, data)


def encode_options(options: list[TcpOption]) -> bytes:
    """Return the options as bytes."""
    parts = []
    for option in options:
        parts.append(bytes([option.kind]) if option.kind < 2 else bytes([option.kind, 2 + len(option.data)]))
        parts.append(option.data)
    return b"".join(parts)


def decode_options(data: bytes) -> list[TcpOption]:
    """Return the options in these bytes. A malformed option takes all remaining bytes."""
    options = []
    i = 0
    while i < len(data):
        kind = data[i]
        if kind < 2:
            options.append(TcpOption(kind))
            i += 1
            continue
        length = data[i + 1] if i + 1 < len(data) else 0
        if length < 2 or i + length > len(data):
            options.append(TcpOption(kind, data[i + 1 :]))
            break
        options.append(TcpOption(kind, data[i + 2 : i + length]))
        i += length
    return options
