"""Lab 4: ARP."""
