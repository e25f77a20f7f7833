"""Lab 6: routing."""
