"""Lab 13: connection states."""
