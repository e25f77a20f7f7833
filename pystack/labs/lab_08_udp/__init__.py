"""Lab 8: UDP."""
