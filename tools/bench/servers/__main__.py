"""python -m tools.bench.servers {kernel,pystack,pystack-plain} {blocking,asyncio,asyncio-own,compiled} [TAP]"""

import resource
import sys
import threading
from typing import Any

ADDRESS = "10.77.0.2"


def main(stack: str, program: str, tap: str = "tap0") -> None:
    """Run one server program until it is killed."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    socket: Any
    if stack == "kernel":
        import socket
    else:
        import pystack
        from pystack import socket

        offload = stack == "pystack"
        running = pystack.up(tap, f"{ADDRESS}/16", "10.77.0.1", host_address=None, offload=offload)
        if program == "compiled":
            _compiled(running)
    if program == "blocking":
        from tools.bench.servers import blocking

        blocking.main(socket, ADDRESS)
        return
    from tools.bench.servers import aio

    if stack == "kernel" or program == "asyncio-own":
        aio.main(socket, ADDRESS)
    else:
        from pystack.aio import run

        aio.main(socket, ADDRESS, run)


def _compiled(running: Any) -> None:
    """Start the services that `pystack up --serve` runs inside the core."""
    from pystack import services

    services.start("echo:7", "discard:9/tcp", "chargen:19/tcp", "hello:80", "echo:99/tcp", host=running.host)
    print("ready", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
