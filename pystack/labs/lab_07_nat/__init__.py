"""Lab 7: private addresses and NAT."""
