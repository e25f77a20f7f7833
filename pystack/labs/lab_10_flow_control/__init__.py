"""Lab 10: flow control."""
