"""Lab 34: a UDP server in C."""
