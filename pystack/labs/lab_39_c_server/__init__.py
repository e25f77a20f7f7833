"""Lab 39: a TCP server in C."""
