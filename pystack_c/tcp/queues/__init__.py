"""A connection's buffers: what was written and not yet acknowledged, and what arrived and was not yet read."""
