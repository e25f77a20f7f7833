"""Ordinary network programs. Nothing in this folder knows that pystack exists.

A client is a function of (host, files), which asserts that it gets the right answers. A server is a coroutine function that never returns, or a
context manager that serves while its block lasts. Both take `files`, a folder with certificates and keys (ground.py makes it).
"""
