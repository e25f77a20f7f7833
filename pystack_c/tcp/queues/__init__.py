"""A connection's buffers: data written but not acknowledged, and data received but not read."""
