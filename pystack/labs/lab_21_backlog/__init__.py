"""Lab 21: listening servers and their queues."""
