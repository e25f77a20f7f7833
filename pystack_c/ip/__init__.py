"""The network layer's sending side: the IPv4 header, options, fragments, reassembly, forwarding and ICMP messages."""
