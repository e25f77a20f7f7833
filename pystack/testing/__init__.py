"""Pieces for tests of networked code and of the stack itself, in virtual time.

    lab       two simulated hosts on a link, with programs that connect, fetch and upload, and a log of all segments
    peer      a bare stack, and a scripted peer that sends it any segment in any state
    segments  TCP segments decoded from frames, independently of the stack's own codecs

These modules need only the standard library. An unexpected result is an AssertionError, as a test wants it.
"""
