"""Scripts to models."""

import pytest

from pystack.pkt import model
from pystack.pkt.errors import ScriptError, Unsupported
from pystack.pkt.model import Either, IcmpSpec, Struct, TcpOption, UdpSpec, Word
from pystack.pkt.parser import parse


def event(line):
    return parse(line).events[0]


def packet(text):
    return event("+0 " + text).action


def test_times():
    kinds = {
        "+.1 > . 1:1(0)": (model.RELATIVE, 100000, 100000),
        "2 > . 1:1(0)": (model.ABSOLUTE, 2000000, 2000000),
        "* > . 1:1(0)": (model.ANY, 0, 0),
        ".5~1.5 > . 1:1(0)": (model.ABSOLUTE_RANGE, 500000, 1500000),
        "+0~+.01 > . 1:1(0)": (model.RELATIVE_RANGE, 0, 10000),
    }
    for text, expected in kinds.items():
        time = event(text).time
        assert (time.kind, time.start, time.end) == expected, text


def test_flags():
    s, a, e, w = model.SYN, model.ACK, model.ECE, model.CWR
    wanted = {
        "S.": s | a,
        "SEW": s | e | w,
        "SE.": s | e | a,
        "-": 0,
        "F  .": model.FIN | a,
        "SEWA": s | e | w | model.AE,
    }
    for text, flags in wanted.items():
        assert packet(f"> {text} 0:0(0)").body.flags == flags, text
    counted = packet("> P.5 1:2(1)").body
    assert counted.ace == 5
    assert counted.flags == model.PSH | a | e | model.AE


def test_segment_fields():
    found = packet("< [ect0] 80 > 81 U. 5:105(100) ack 7 win 9 urg 3 <nop,nop,TS val 1 ecr 2>")
    body = found.body
    assert (found.sport, found.dport, found.ip.tos) == (80, 81, 2)
    assert (body.seq, body.length, body.ack, body.window, body.urg) == (5, 100, 7, 9, 3)
    assert body.options[2] == TcpOption(8, bytes([0, 0, 0, 1, 0, 0, 0, 2]))


def test_options():
    wanted = {
        "mss 1460": TcpOption(2, b"\x05\xb4"),
        "wscale 7,nop": TcpOption(3, b"\x07"),
        "sackOK,nop,nop": TcpOption(4),
        "sack 1:2 3:4,nop,nop": TcpOption(5, bytes([0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4])),
        "FO 0102030405060708,nop,nop": TcpOption(34, bytes(range(1, 9))),
        "FO,nop,nop": TcpOption(34),
        "FOEXP aabb,nop,nop": TcpOption(254, b"\xf9\x89\xaa\xbb"),
        "md5 000102030405060708090a0b0c0d0e0f,nop,nop": TcpOption(19, bytes(range(16))),
        "gen 99 0a0b": TcpOption(99, b"\x0a\x0b"),
        "ECN e1b 1 ceb 0 e0b 2,nop": TcpOption(174, bytes([0, 0, 1, 0, 0, 0, 0, 0, 2])),
        "AccECN0 ee0b 7,nop,nop,nop": TcpOption(172, bytes([0, 0, 7])),
    }
    for text, option in wanted.items():
        assert packet(f"> . 1:1(0) <{text}>").body.options[0] == option, text
    assert packet("> . 1:1(0) <...>").body.options is None
    assert packet("> . 1:1(0)").body.options == []
    assert [o.kind for o in packet("> . 1:1(0) <0101080a0000000100000002>").body.options] == [1, 1, 8]
    for digits in ("12" * 38, "ab" * 38):
        # (as much as there is room for)
        assert packet(f"> S 0:0(0) <FO {digits}>").body.options == [TcpOption(34, bytes.fromhex(digits))]
    with pytest.raises(ScriptError, match="more than 40 bytes"):
        packet("> S 0:0(0) <FO " + "12" * 39 + ">")


def test_special_numbers():
    assert packet("< . 9:9(0)!").body.seq_absolute
    assert packet("> S. ...(0) ack 1").body.seq_ignored
    stamped = packet("> . 1:1(0) <nop,nop,TS val ... ecr 5!>").body
    assert stamped.ts_val_ignored and stamped.ts_ecr_absolute


def test_other_protocols():
    assert packet("> udp (100)").body == UdpSpec(100)
    assert packet("< icmp unreachable frag_needed mtu 1400 [1:1461(1460)]").body == IcmpSpec(3, 4, 1400, 0, 6, 1, 1460)
    assert packet("< icmp unreachable port_unreachable [udp (8)]").body == IcmpSpec(3, 3, -1, 0, 17, 0, 8)
    assert packet("< icmp unreachable frag_needed mtu 800").body == IcmpSpec(3, 4, 800, 0, 6, 0, -1)
    assert packet("< icmp time_exceeded ttl_exceeded_in_transit [0:0(0)]").body.type == 11


def test_calls():
    call = event("+.1...0.2 connect(3, ..., ...) = -1 EINPROGRESS (Operation now in progress)").action
    assert (call.name, call.end, call.result, call.errno) == ("connect", 200000, -1, "EINPROGRESS")
    assert call.args == [3, Ellipsis, Ellipsis]
    call = event("0 fcntl(3, F_GETFL) = 0x2 (flags O_RDWR)").action
    assert (call.result, call.end) == (2, -1)
    call = event("0 setsockopt(3, A, B, {onoff=1, linger=2}, O_RDWR|O_NONBLOCK) = 0").action
    assert call.args[3] == Struct({"onoff": 1, "linger": 2})
    assert call.args[4] == Either([Word("O_RDWR"), Word("O_NONBLOCK")])
    call = event('0 f(1, "a" "b\\0", {msg_name(...)=..., msg_iov(2)=[{..., 1}, {..., 2}], msg_flags=0}, []) = 0').action
    assert call.args[1] == b"ab\0"
    assert call.args[2].fields["msg_iov"] == [Struct({}, [Ellipsis, 1]), Struct({}, [Ellipsis, 2])]
    address = event('0 bind(3, {sa_family = AF_INET, sin_port = htons(80), sin_addr = inet_addr("1.2.3.4")}, 16) = 0')
    assert address.action.args[1].fields["sin_port"].args == [80]


def test_commands_options_and_code():
    script = parse("--mtu=1400\n`first`\n0 `second` +0 %{ assert True }%\n`last`")
    assert script.options == [("mtu", "1400", 1)]
    assert script.init[0].text == "first"
    assert [type(e.action).__name__ for e in script.events] == ["Command", "Code"]
    assert script.cleanup[0].text == "last"


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("0 > X 1:1(0)", 1, "not a TCP flag"),
        ("0 > . 1:5(3)", 1, "1 + 3 is not 5"),
        ("0 > . 1:1(0) win 70000", 1, "0..65535"),
        ("\n0 > . 1:1(0) <mss 1460,nop>", 2, "multiple of four"),
        ("0 > . 1:1(0) <bogus 1>", 1, "unknown TCP option"),
        ("0 < . 1:1(0) <...>", 1, "outbound"),
        ("* < . 1:1(0)", 1, "outbound"),
        ("2~1 > . 1:1(0)", 1, "backwards"),
        ("0 f(1 = 2", 1, "',' or ')'"),
        ("0 > . 1:1(0)\nrubbish", 2, "expected a time"),
        ("0 > E.5 1:1(0)", 1, "either the ECN bits"),
        ("0 < icmp nonsense [0:0(0)]", 1, "ICMP type"),
        ("0 < [ect01] . 1:1(0)", 1, "outbound"),
        ("`a`\n`b`\n0 > . 1:1(0)", 2, "needs a time"),
        ("-1 > . 1:1(0)", 1, "negative"),
    ],
)
def test_errors_have_a_line_and_a_reason(text, line, what):
    with pytest.raises(ScriptError) as caught:
        parse(text)
    assert caught.value.line == line
    assert what in caught.value.message


@pytest.mark.parametrize(
    "text",
    ["0 < sctp: INIT[...]", "--ip_version=ipv6\n0 f() = 0", "0 > gre: . 1:1(0)", "0 < dccp", "0 > udplite (10, 8)"],
)
def test_other_languages_are_unsupported(text):
    with pytest.raises(Unsupported):
        parse(text)
