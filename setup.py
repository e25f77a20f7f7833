"""The one list of compiled modules. Everything else about the package is in pyproject.toml.

PYSTACK_PURE=1 builds nothing: the same sources run uncompiled.
"""

import os

from setuptools import setup

COMPILED = [
    "pystack_c/seqnum.py",
    "pystack_c/rng.py",
    "pystack_c/timer.py",
    "pystack_c/packet.py",
    "pystack_c/counters.py",
    "pystack_c/config.py",
    "pystack_c/iface.py",
    "pystack_c/core.py",
    "pystack_c/endpoint.py",
]

DIRECTIVES = {
    "language_level": 3,
    "boundscheck": False,
    "wraparound": False,
    "cdivision": True,
    "annotation_typing": False,
    "initializedcheck": False,
}


def extensions() -> list:
    """The extension modules, or none with PYSTACK_PURE=1."""
    if os.environ.get("PYSTACK_PURE") == "1":
        return []
    from Cython.Build import cythonize

    return cythonize(COMPILED, compiler_directives=DIRECTIVES, nthreads=os.cpu_count() or 1)


setup(ext_modules=extensions())
