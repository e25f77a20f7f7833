"""Lab 24: load balancing in layer 4 and in layer 7."""
