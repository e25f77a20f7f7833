"""Lab 43: connection pools."""
