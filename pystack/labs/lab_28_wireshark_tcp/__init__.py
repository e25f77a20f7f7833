"""Lab 28: TCP in Wireshark."""
