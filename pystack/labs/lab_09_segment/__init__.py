"""Lab 9: the TCP segment."""
