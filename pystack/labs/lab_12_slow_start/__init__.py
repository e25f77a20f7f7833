"""Lab 12: slow start and congestion avoidance."""
