"""Lab 25: network access to a database."""
