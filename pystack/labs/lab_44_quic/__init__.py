"""Lab 44: QUIC beside TCP."""
