"""Lab 30: HTTP/2 in TLS, in Wireshark."""
