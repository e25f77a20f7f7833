"""The link layer: neighbour states, ARP, address conflict detection, and a bridge's forwarding table."""
