"""Bytes to fields and back. The codecs keep no state."""
