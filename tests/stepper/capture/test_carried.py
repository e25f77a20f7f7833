"""What a capture says of tunnels, DHCPv6, mDNS and LLMNR, in a beginner's words; and what hostile bytes do to these words."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pystack_c.const as C
from pystack.stepper import Timeline, messages
from pystack.stepper.capture import why
from tests.stepper.capture.corpus import pcapng
from tests.stepper.dissect import tunneled

SAMPLES = {sample.name: sample.frame for sample in (*tunneled.by_hand(), *tunneled.messages())}
#: what `--why` says, and what is beside the arrow
SAID = {
    "ip in ip 0 over IPv4": (
        "It carries another packet through a tunnel of IP in IP (RFC 2003, RFC 4213). Inside: IP 10.1.0.1 > 10.1.0.2: ICMP echo request, id 1, seq 2, length 24.",
        "IP in IP: IP 10.1.0.1 > 10.1.0.2: ICMP echo request, id 1, seq 2, length 24",
    ),
    "gre {'key': 77} 2 over IPv6": (
        "It carries another packet through a tunnel of GRE with the key 77 (RFC 2784). Inside: IP6 2001:db8::3 > 2001:db8::4: ICMP6, echo request, id 1, seq 2, length 24.",
        "GRE 77: IP6 2001:db8::3 > 2001:db8::4: ICMP6, echo request, id 1, seq 2, length 24",
    ),
    "vxlan 4 over IPv4": (
        "It carries another packet through a tunnel of VXLAN of the virtual network 42 (RFC 7348). Inside: ARP, Request who-has 10.1.0.2 tell 10.1.0.1, length 28.",
        "VXLAN 42: ARP, Request who-has 10.1.0.2 tell 10.1.0.1, length 28",
    ),
    "mdns question": ("mDNS: it asks all hosts of the link for the records of printer.local (A) (RFC 6762 5).", "mDNS: printer.local (A)?"),
    "mdns answer": ("mDNS: it tells the hosts of the link 2 records of its names (RFC 6762 5).", "mDNS"),
    "llmnr question": ("LLMNR: it asks all hosts of the link for the records of wpad (A) (RFC 4795 2).", "LLMNR: wpad (A)?"),
    "llmnr answer": ("LLMNR: the host that has the name wpad (A) answers with 1 record (RFC 4795 2).", "LLMNR: wpad (A)"),
    "reply": ("DHCPv6 REPLY: the server answers (RFC 8415 7.3).", "DHCPv6 REPLY"),
    "relayed": ("DHCPv6 RELAY-REPL: a server answers by way of a relay (RFC 8415 7.3).", "DHCPv6 RELAY-REPL"),
}  # fmt: skip


def opened(*frames):
    return Timeline.of(pcapng([(n, frame, C.LINK_ETHERNET) for n, frame in enumerate(frames)]), "carried.pcapng")


@pytest.mark.parametrize("name", SAID)
def test_what_is_said(name):
    timeline = opened(SAMPLES[name])
    sentence, arrow = SAID[name]
    assert sentence in str(why.of_frame(timeline, timeline.frames[0]))
    assert messages.beside(timeline.frames[0]) == arrow


def test_the_line_of_a_packet_in_a_tunnel_names_the_tunnel():
    lines = {name: opened(frame).frames[0].summary for name, frame in SAMPLES.items()}
    assert lines["ip in ip 0 over IPv4"] == "IP 10.9.0.1 > 10.9.0.2: IP in IP, length 44"
    assert lines["ip in ip 2 over IPv6"] == "IP6 2001:db8::1 > 2001:db8::2: IPv6 in IP, length 64"
    assert lines["gre {} 0 over IPv4"] == "IP 10.9.0.1 > 10.9.0.2: GREv0, proto 0x0800, length 48"


def test_control_other_packets_are_in_no_tunnel():
    plain = tunneled.inside()
    for frame in (plain[3][1], plain[4][1], plain[5][1]):
        timeline = opened(frame)
        assert "tunnel" not in str(why.of_frame(timeline, timeline.frames[0]))


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 1 << 48))
def test_hostile_bytes(seed):
    chance = random.Random(seed)
    frames = []
    for _ in range(4):
        data = bytearray(chance.choice(list(SAMPLES.values())))
        for _ in range(chance.choice((1, 2, 6))):
            data[chance.randrange(12, len(data))] = chance.choice((0, 4, 41, 47, 255, chance.randrange(256)))
        frames.append(bytes(data[: chance.randrange(1, len(data))] if chance.random() < 0.3 else data))
    timeline = opened(*frames)
    for frame in timeline.frames:
        assert "\n" not in messages.beside(frame) + str(why.of_frame(timeline, frame))
