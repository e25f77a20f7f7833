"""Lab 22: head-of-line blocking."""
