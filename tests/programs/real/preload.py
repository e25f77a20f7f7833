"""What the processes on the kernel's side import once: the programs, and the libraries that are slow to import."""

import contextlib
import importlib

for name in ("http1", "web", "stores", "names", "shells", "files", "quic", "small"):
    with contextlib.suppress(ImportError):
        importlib.import_module(f"tests.programs.real.apps.{name}")
for name in ("aiohttp", "asyncssh", "hypercorn.asyncio", "nx_27017.server", "paramiko", "pymongo", "starlette.applications", "uvicorn", "websockets.asyncio.client"):  # fmt: skip
    with contextlib.suppress(ImportError):
        importlib.import_module(name)
