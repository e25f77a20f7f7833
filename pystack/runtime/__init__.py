"""Drivers: they turn the sans-I/O core into a host (real time, simulated, replayed)."""
