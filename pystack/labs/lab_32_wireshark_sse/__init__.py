"""Lab 32: server-sent events in Wireshark."""
