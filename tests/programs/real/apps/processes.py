"""Servers that are programs of their own."""

import contextlib
import subprocess


@contextlib.contextmanager
def running(words, **options):
    """Start a program, and end it after the block."""
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(10)
