"""Lab 1: layers."""
