"""`from pystack import socket`: the standard library's socket module, on a pystack stack.

There is no second implementation of what Lib/socket.py does (makefile, create_connection, sendfile, ...): its own
code is executed here, with our `_socket` in place of the C module. Names, defaults and exceptions are therefore the known ones.
"""

import builtins as _builtins
import enum as _enum
import importlib.util as _util
import socket as _std
import sys as _sys
from types import ModuleType as _ModuleType
from typing import Any as _Any

from pystack import _socket as _ours


def _import(name: str, globals: _Any = None, locals: _Any = None, fromlist: _Any = (), level: int = 0) -> _ModuleType:
    if name == "_socket" and level == 0:
        return _ours
    return _builtins.__import__(name, globals, locals, fromlist, level)


def _execute() -> None:
    """Run Lib/socket.py in this module, then share the enumerations with the module `socket`."""
    spec = _util.find_spec("socket")
    code = spec.loader.get_code("socket")  # type: ignore[union-attr]
    space = _sys.modules[__name__].__dict__
    doc = __doc__
    space["__builtins__"] = {**vars(_builtins), "__import__": _import}
    exec(code, space)  # noqa: S102 (the standard library's own module)
    space["__doc__"] = doc
    # AF_INET here *is* AF_INET there: isinstance and identity hold between the two modules.
    for name, value in vars(_std).items():
        if isinstance(value, _enum.Enum) or (isinstance(value, type) and issubclass(value, _enum.Enum)):
            space[name] = value


_execute()


def _no_sendfile(self: _Any, *args: _Any) -> int:
    # os.sendfile would write into a descriptor that leads nowhere.
    raise globals()["_GiveupOnSendfile"]()


globals()["socket"]._sendfile_use_sendfile = _no_sendfile
