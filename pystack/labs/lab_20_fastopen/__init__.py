"""Lab 20: TCP Fast Open."""
