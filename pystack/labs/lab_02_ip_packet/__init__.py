"""Lab 2: the IP packet."""
