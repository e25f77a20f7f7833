"""Lab 19: the cost of a connection."""
