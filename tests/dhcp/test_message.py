"""The codec of DHCP messages: round trips, other readers, and bytes that are none."""

import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pystack.dhcp import message as m
from pystack.dhcp.message import DhcpMessage, Malformed

addresses = st.integers(0, 0xFFFFFFFF)
codes = st.integers(1, 254).filter(lambda code: code != m.OVERLOAD)
messages = st.builds(
    DhcpMessage,
    op=st.sampled_from((1, 2)),
    htype=st.integers(0, 255),
    hlen=st.just(6),
    hops=st.integers(0, 255),
    xid=addresses,
    secs=st.integers(0, 0xFFFF),
    flags=st.integers(0, 0xFFFF),
    ciaddr=addresses,
    yiaddr=addresses,
    siaddr=addresses,
    giaddr=addresses,
    chaddr=st.binary(min_size=6, max_size=6),
    sname=st.binary(max_size=63).filter(lambda text: b"\0" not in text),
    file=st.binary(max_size=127).filter(lambda text: b"\0" not in text),
    options=st.dictionaries(codes, st.binary(max_size=300), max_size=6),
)


@given(messages)
def test_what_is_written_is_read(message):
    data = m.write(message)
    assert len(data) >= m.SHORTEST and m.read(data) == message


@given(st.binary(max_size=700), messages, st.integers(0, 400))
def test_any_bytes_are_read_or_refused(junk, message, cut):
    good = m.write(message)
    for data in (junk, good[:cut], good[:240] + junk, good[:cut] + junk + good[cut:]):
        try:
            found = m.read(data)
        except Malformed:
            continue
        assert sum(map(len, found.options.values())) <= len(data)


def base(options, **fields):
    """The bytes of a message whose options are bytes."""
    data = m.write(DhcpMessage(chaddr=bytes(6), **fields))
    return data[:240] + options


@pytest.mark.parametrize(
    "data",
    [
        b"",
        base(b"\xff")[:239],
        base(b"\xff")[:236] + b"\x63\x82\x53\x64\xff",  # another cookie
        b"\x03" + base(b"\xff")[1:],  # neither a request nor a reply
        base(b"\xff")[:2] + b"\x11" + base(b"\xff")[3:],  # a hardware address of 17 bytes
        base(b"\x35"),  # no length
        base(b"\x35\x02\x01"),  # longer than the message
        base(b"\x34\x01\x04\xff"),  # an impossible overload
        base(b"\xff") + bytes(m.MOST),
    ],
)
def test_malformed_messages(data):
    with pytest.raises(Malformed):
        m.read(data)


def test_options_may_be_in_the_fields_for_names():
    """RFC 2131 4.1: first the options, then `file`, then `sname`."""
    data = base(b"\x34\x01\x03\x0c\x01a\xff", file=b"\x0c\x01b\x35\x01\x05\xff", sname=b"\x0c\x01c\xff")
    found = m.read(data)
    assert found.options == {m.HOST_NAME: b"abc", m.MESSAGE_TYPE: b"\x05"}  # RFC 3396: the parts are joined
    assert found.kind == m.ACK and found.file == found.sname == b""


def test_long_options_are_split_and_options_that_do_not_fit_are_left_out():
    message = DhcpMessage(
        chaddr=bytes(6), options={m.MESSAGE_TYPE: b"\x02", 43: bytes(400), m.HOST_NAME: b"x", m.AGENT: b"\x01\x01a"}
    )
    assert m.read(m.write(message)).options == message.options
    short = m.read(m.write(message, 548)).options
    assert short == {m.MESSAGE_TYPE: b"\x02", m.HOST_NAME: b"x", m.AGENT: b"\x01\x01a"}
    assert len(m.write(message, 548)) <= 548


def test_classless_routes():
    """The examples of RFC 3442."""
    routes = [(0, 0, 1), (0x0A000000, 8, 2), (0x0A1B8100, 24, 3), (0x0A40C000, 19, 0)]
    data = m.write_routes(routes)
    assert data[:1] == b"\0" and data[5:7] == b"\x08\x0a" and m.read_routes(data) == routes
    for bad in (data[:-1], b"\x21" + bytes(9), b"\x20"):
        assert m.read_routes(bad) == []


def test_pyroute2_and_tshark_read_the_same(tmp_path):
    pytest.importorskip("pyroute2")
    from pyroute2.dhcp.dhcp4msg import dhcp4msg

    message = DhcpMessage(
        op=2, xid=0x12345678, flags=0x8000, yiaddr=0x0A000032, chaddr=b"\2\0\0\0\0\1",
        options={
            m.MESSAGE_TYPE: b"\x05", m.SERVER_ID: b"\x0a\0\0\1", m.LEASE_TIME: (600).to_bytes(4, "big"),
            m.SUBNET_MASK: b"\xff\xff\xff\0", m.ROUTER: b"\x0a\0\0\1", m.DOMAIN_NAME: b"example.org",
        },
    )  # fmt: skip
    other = dhcp4msg(buf=m.write(message))
    other.decode()
    assert (other["xid"], other["yiaddr"], other["flags"]) == (0x12345678, "10.0.0.50", 0x8000)
    assert other["options"]["lease_time"] == 600 and other["options"]["router"] == ["10.0.0.1"]
    if shutil.which("tshark") is None:
        pytest.skip("tshark is not installed")
    from pystack.dhcp.packets import write_udp
    from pystack.trace.pcapng import LINKTYPE_RAW, PcapngWriter

    writer = PcapngWriter.open(str(tmp_path / "one.pcapng"))
    packet = write_udp(0x0A000001, 0xFFFFFFFF, 67, 68, m.write(message))
    writer.packet(writer.interface("x", LINKTYPE_RAW), 0, packet, 1)
    writer.close()
    fields = [
        "ip.checksum.status",
        "udp.checksum.status",
        "dhcp.option.dhcp",
        "dhcp.option.domain_name",
        "dhcp.ip.your",
    ]
    command = ["tshark", "-r", str(tmp_path / "one.pcapng"), "-T", "fields", "-o", "ip.check_checksum:TRUE"]
    command += ["-o", "udp.check_checksum:TRUE", *(word for name in fields for word in ("-e", name))]
    told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert told.split() == ["1", "1", "5", "example.org", "10.0.0.50"]
