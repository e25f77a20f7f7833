"""Addresses as people write them, turned into the core's numbers (pystack_c.base.address)."""

import ipaddress

from pystack_c.base.address import v4


def parse_addr(text: str) -> int:
    """ "10.0.0.1" as the core's number for it; ValueError says what is wrong."""
    return v4(int(ipaddress.IPv4Address(text)))


def parse_interface(text: str) -> tuple[int, int]:
    """ "10.0.0.1/24" as (address, prefix length); without a length it is 32."""
    parsed = ipaddress.IPv4Interface(text)
    return v4(int(parsed.ip)), parsed.network.prefixlen


def parse_network(text: str) -> tuple[int, int]:
    """ "10.1.0.0/16" or "default" as (network, prefix length)."""
    if text == "default":
        return 0, 0
    parsed = ipaddress.IPv4Network(text)
    return v4(int(parsed.network_address)), parsed.prefixlen
