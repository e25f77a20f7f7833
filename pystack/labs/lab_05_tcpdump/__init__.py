"""Lab 5: tcpdump."""
