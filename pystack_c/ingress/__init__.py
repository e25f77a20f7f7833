"""What happens to a packet that arrives: the IPv4 checks, local delivery and ICMP."""
