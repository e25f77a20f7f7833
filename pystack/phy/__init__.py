"""Devices (TAP, simulated link) and wrappers around a device (capture, faults, tracer, segmenter)."""
