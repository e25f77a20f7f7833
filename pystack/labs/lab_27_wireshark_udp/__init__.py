"""Lab 27: UDP in Wireshark."""
