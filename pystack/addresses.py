"""Conversion of written addresses into the core's numbers (pystack_c.base.address)."""

import ipaddress

from pystack_c.base.address import v4


def parse_addr(text: str) -> int:
    """Return the core's number for an address such as "10.0.0.1". Raises ValueError if the text is not an IPv4 address."""
    return v4(int(ipaddress.IPv4Address(text)))


def parse_interface(text: str) -> tuple[int, int]:
    """Return "10.0.0.1/24" as (address, prefix length). Without a length it is 32. Raises ValueError."""
    try:
        parsed = ipaddress.IPv4Interface(text)
    except ValueError:
        raise ValueError(f"{text!r} is not an IPv4 address with a prefix length, such as 10.0.0.1/24") from None
    return v4(int(parsed.ip)), parsed.network.prefixlen


def parse_network(text: str) -> tuple[int, int]:
    """Return "10.1.0.0/16" or "default" as (network, prefix length). Raises ValueError."""
    if text == "default":
        return 0, 0
    parsed = ipaddress.IPv4Network(text)
    return v4(int(parsed.network_address)), parsed.prefixlen


def wrong(text: str, error: ValueError) -> str:
    """Return why a text is no address with a prefix length. `error` is the module ipaddress's, which calls a length a netmask."""
    address, slash, length = text.partition("/")
    try:
        ipaddress.IPv4Address(address)
    except ValueError:
        return str(error)
    if slash and not (length.isascii() and length.isdigit() and len(length) <= 2 and int(length) <= 32):
        return f"prefix length {length or '(none)'} is not in 0..32"
    return str(error)
