"""Drivers: what turns the sans-I/O core into a host (realtime, simulated, replayed)."""
