"""Addresses as text, for events and error messages."""


def addr_text(addr: int) -> str:
    """Return an IPv4 address in dotted decimal."""
    return f"{addr >> 24}.{(addr >> 16) & 255}.{(addr >> 8) & 255}.{addr & 255}"
