"""Explicit congestion notification: RFC 3168, and accurate ECN."""
