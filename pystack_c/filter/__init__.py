"""Packet filtering: the hooks at which a filter, connection tracking or address translation sees packets."""
