"""The receiving side of the network layer: the IPv4 checks, local delivery and ICMP."""
