"""Packet filtering: the hooks where a filter, connection tracking or address translation sees packets."""
