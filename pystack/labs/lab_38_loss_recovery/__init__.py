"""Lab 38: loss recovery."""
