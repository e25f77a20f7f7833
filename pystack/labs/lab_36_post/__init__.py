"""Lab 36: where the time of a POST goes."""
