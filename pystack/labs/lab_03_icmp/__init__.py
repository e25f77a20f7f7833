"""Lab 3: ICMP, ping and traceroute."""
