"""Codecs from bytes to fields and back. They keep no state."""
