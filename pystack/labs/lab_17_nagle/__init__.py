"""Lab 17: Nagle's algorithm and delayed acknowledgements."""
