"""The file of `pystack sweep FILE`: a Python file with a function, PARAMETERS and SEEDS."""

import sys
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pystack.sweeps.errors import SweepError

#: the modules of this process, by their text: a worker runs the file once
_modules: dict[tuple[str, str], types.ModuleType] = {}


@dataclass(frozen=True)
class FileFunction:
    """A function of a file. It takes the file's text with it, so a worker on another machine needs no copy of the file."""

    path: str
    name: str
    text: str

    def __call__(self, **arguments: Any) -> Any:
        return self.sweep_function(**arguments)

    @property
    def sweep_function(self) -> Any:
        """The function itself."""
        return getattr(module_of(self.path, self.text), self.name)

    @property
    def sweep_name(self) -> str:
        """The name of the sweep in the results."""
        return f"{Path(self.path).stem}:{self.name}"

    @property
    def sweep_source(self) -> str:
        """What the function consists of: it may use everything in its file."""
        return self.text


def module_of(path: str, text: str) -> types.ModuleType:
    """The module that the text of a file makes. It can import the modules beside the file, if they are there."""
    module = _modules.get((path, text))
    if module is None:
        # dataclasses and pickle look for the modules of classes there.
        name = f"pystack_sweep_{len(_modules)}_{Path(path).stem}"
        module = types.ModuleType(name)
        module.__file__ = path
        folder = str(Path(path).resolve().parent)
        if folder not in sys.path:
            sys.path.insert(0, folder)
        sys.modules[name] = module
        try:
            exec(compile(text, path, "exec"), module.__dict__)
        except BaseException:
            del sys.modules[name]
            raise
        _modules[path, text] = module
    return module


def read(path: str, function: str = "") -> tuple[FileFunction, Any, Any]:
    """The function, the parameters and the seeds of a file. SweepError says what the file does not have.

    The function is the one that is named, or `run`, or the only function that the file defines without an underscore.
    """
    try:
        text = Path(path).read_text()
    except UnicodeDecodeError as error:
        raise SweepError(f"{path} is no text in UTF-8: {error.reason}") from None
    try:
        module = module_of(path, text)
    except Exception as error:
        where, text = (f", line {error.lineno}", error.msg) if isinstance(error, SyntaxError) else ("", str(error))
        raise SweepError(f"{path}{where}: {type(error).__name__}: {text}") from error
    found = vars(module)
    if not function:
        own = [
            name
            for name, value in found.items()
            if isinstance(value, types.FunctionType) and value.__module__ == module.__name__ and name[0] != "_"
        ]
        if "run" in own:
            function = "run"
        elif len(own) == 1:
            function = own[0]
        else:
            raise SweepError(
                f"{path} defines {', '.join(own) or 'no function'}: name the function to run `run`, or use --function"
            )
    if not callable(found.get(function)):
        raise SweepError(f"{path} has no function named {function!r}")
    if "PARAMETERS" not in found:
        raise SweepError(f"{path} has no PARAMETERS: write PARAMETERS = {{'loss': [0, 0.01]}}")
    return FileFunction(path, function, text), found["PARAMETERS"], found.get("SEEDS", 1)
