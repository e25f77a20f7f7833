"""Lab 31: MongoDB in Wireshark."""
