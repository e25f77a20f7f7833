"""Lab 26: Docker networking."""
