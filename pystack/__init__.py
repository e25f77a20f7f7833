"""pystack: a TCP/IP stack to read, run, step through and take apart.

`pystack_c` is the protocol core. This package is everything that touches the outside world: devices, clocks, threads,
sockets, the command line. Import it first, because it decides whether the core runs compiled or, with PYSTACK_PURE=1 in
the environment, uncompiled from the same sources.
"""

from typing import TYPE_CHECKING, Any

from pystack._build import compiled, compiled_report, prepare

prepare()

__version__ = "0.1.0"

__all__ = ["__version__", "compiled", "compiled_report", "patch", "sweep", "up"]

if TYPE_CHECKING:
    from pystack.running import patch, up
    from pystack.sweeps import sweep


def __getattr__(name: str) -> Any:
    # These are loaded when they are first used, so `import pystack` alone imports neither the core nor the driver.
    if name in ("patch", "up"):
        from pystack import running

        return getattr(running, name)
    if name == "sweep":
        from pystack.sweeps import sweep

        return sweep
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
