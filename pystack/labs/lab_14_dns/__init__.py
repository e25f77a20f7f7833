"""Lab 14: DNS."""
