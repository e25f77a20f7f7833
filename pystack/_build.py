"""The build of the core that runs: compiled or not, and whether a compiled module is out of date."""

import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from importlib.machinery import EXTENSION_SUFFIXES, SOURCE_SUFFIXES, FileFinder, ModuleSpec, SourceFileLoader
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    # Every program that imports pystack imports this module, so import pathlib only in the functions that need it.
    from pathlib import Path

CORE = "pystack_c"
#: the package of the driver; its modules that run for every frame and call are compiled
DRIVER = "pystack"
#: the prefixes of the modules that may be compiled
_OURS = (CORE + ".", DRIVER + ".")
#: the seconds by which the ages of files from an installed wheel may differ, because unpacking sets them
UNPACKING = 60


class PureFinder:
    """A meta-path finder that loads our modules from their .py files, even if there are extensions beside them."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of one of our modules from its source.

        None leaves every other import to the other finders.
        """
        if not fullname.startswith(_OURS) or path is None:
            return None
        for entry in path:
            spec = FileFinder(entry, (SourceFileLoader, SOURCE_SUFFIXES)).find_spec(fullname)
            if spec is not None:
                return spec
        return None


def pure() -> bool:
    """Return True if PYSTACK_PURE=1 selects the uncompiled core."""
    return os.environ.get("PYSTACK_PURE") == "1"


def prepare() -> None:
    """Set up imports, before anything of the core is imported.

    Raises ImportError if a compiled module is already loaded.
    """
    # If a class layout changed under a stale extension, Cython
    # only issues a RuntimeWarning, but memory would be corrupted.
    warnings.filterwarnings("error", message=r"pystack(_c)?\..*size changed", category=RuntimeWarning)
    if not pure() or any(isinstance(finder, PureFinder) for finder in sys.meta_path):
        return
    loaded = [name for name, module in sys.modules.items() if name.startswith(_OURS) and is_extension(module)]
    if loaded:
        raise ImportError(f"PYSTACK_PURE=1, but {loaded[0]} is already loaded compiled; import pystack before {CORE}")
    sys.meta_path.insert(0, PureFinder())


def is_extension(module: ModuleType) -> bool:
    """Return True for a module that was loaded from a shared object."""
    return (getattr(module, "__file__", None) or "").endswith(tuple(EXTENSION_SUFFIXES))


class ModuleBuild(NamedTuple):
    """One module of the core, and the form in which an import loads it."""

    name: str
    source: "Path"
    extension: "Path | None"
    """The shared object for this Python beside the source, whether it is used or not."""
    compiled: bool
    """True if an import loads the extension."""
    stale: bool
    """True if the extension is older than its .py or .pxd."""


def core_dir() -> "Path":
    """Return the directory of the core's sources. Raises ImportError if the package is missing."""
    import importlib.util
    from pathlib import Path

    spec = importlib.util.find_spec(CORE)
    if spec is None or not spec.submodule_search_locations:
        raise ImportError(f"there is no package {CORE}")
    return Path(spec.submodule_search_locations[0])


def modules() -> Iterator[ModuleBuild]:
    """Yield all modules that can be compiled (those with a .pxd beside the .py), by name."""
    root = core_dir()
    slack = UNPACKING if any(root.parent.glob("pystack-*.dist-info")) else 0
    for source in sorted([*root.rglob("*.py"), *root.with_name(DRIVER).rglob("*.py")]):
        pxd = source.with_suffix(".pxd")
        if source.name == "__init__.py" or source.name == "const.py" or not pxd.exists():
            continue
        name = ".".join(source.relative_to(root.parent).with_suffix("").parts)
        candidates = (source.with_name(source.stem + suffix) for suffix in EXTENSION_SUFFIXES)
        extension = next((path for path in candidates if path.exists()), None)
        newest = max(source.stat().st_mtime, pxd.stat().st_mtime)
        stale = extension is not None and extension.stat().st_mtime < newest - slack
        loaded = sys.modules.get(name)
        used = is_extension(loaded) if loaded is not None else extension is not None and not pure()
        yield ModuleBuild(name, source, extension, used, stale)


def compiled() -> dict[str, bool]:
    """Return for each module of the core that can be compiled whether it runs compiled."""
    return {module.name: module.compiled for module in modules()}


def compiled_report() -> str:
    """Return a readable table of `compiled()` that marks stale extensions and ends with a summary."""
    rows = list(modules())
    width = max(len(row.name) for row in rows)
    lines = []
    for row in rows:
        state = "compiled" if row.compiled else "python"
        if row.compiled and row.stale:
            state = "compiled, STALE: older than its source; run `make build`"
        lines.append(f"{row.name:{width}}  {state}")
    count = sum(row.compiled for row in rows)
    why = " (PYSTACK_PURE=1)" if pure() else ""
    lines.append(f"{count} of {len(rows)} modules compiled{why}, Python {sys.version.split()[0]}")
    return "\n".join(lines)
