"""Captures (pcapng), annotated frames, and recordings that replay to the byte."""
