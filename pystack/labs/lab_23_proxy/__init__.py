"""Lab 23: proxy and reverse proxy."""
