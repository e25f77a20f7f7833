"""Lab 15: TLS."""
