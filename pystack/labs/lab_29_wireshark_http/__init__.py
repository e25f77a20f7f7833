"""Lab 29: HTTP/1.1 in Wireshark."""
