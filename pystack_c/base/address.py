"""Addresses as text, as events and error messages name them."""


def addr_text(addr: int) -> str:
    """Dotted decimal."""
    return f"{addr >> 24}.{(addr >> 16) & 255}.{(addr >> 8) & 255}.{addr & 255}"
