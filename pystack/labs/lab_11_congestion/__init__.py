"""Lab 11: congestion control."""
