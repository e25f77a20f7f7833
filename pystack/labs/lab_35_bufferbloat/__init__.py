"""Lab 35: bufferbloat, and queues that are managed."""
