"""The pxd lint finds planted mistakes, one at a time, and is silent about a clean module."""

from pathlib import Path

import pytest

from tools.pxd_lint import Lint, compiled_list, parse_pxd

CLEAN_PY = '''\
"""A module."""
import pystack_c.const as C
from pystack_c.base import Base

LIMIT = 5


class Thing(Base):
    def __init__(self, core):
        self.core = core
        self.count = 0
        self.shared = 1

    def grow(self, n: int) -> int:
        total = self.count + n
        for i in range(n):
            total += i
        names = [x for x in "abc"]  # object
        self.count = total
        return total + len(names)

    def text(self):  # python
        words = ["a"]
        return words

    @property
    def double(self):
        twice = self.count * 2
        return twice


def parse(p, end):
    try:
        a, b = p[0], p[1]
    except IndexError as error:
        return -1
    return a + b + end


def walk(things):
    for thing in things:
        yield thing
'''
CLEAN_PXD = """\
cimport cython
from libc.stdint cimport int64_t
cimport pystack_c.const as C
from pystack_c.base cimport Base
cdef enum:
    A = 1
cdef inline int helper(int x) noexcept:
    cdef int y = x
    return y
@cython.final
cdef class Thing(Base):
    cdef public object core
    cdef public int64_t count
    @cython.locals(total=int64_t,
                   i=int)  # a comment
    cpdef int64_t grow(self, int64_t n) except? -1
@cython.locals(p="const unsigned char*", a=int, b=int)
cpdef int parse(bytes p, Py_ssize_t end) except? -1
"""
BASE_PY = "class Base:\n    def __init__(self):\n        self.shared = 0\n"
BASE_PXD = "cdef class Base:\n    cdef public int shared\n"


def lint(tmp_path: Path, py: str = CLEAN_PY, pxd: str | None = CLEAN_PXD, compiled: str = "") -> list[str]:
    """Findings for a tree of two modules as "kind: text" lines."""
    core = tmp_path / "pystack_c"
    core.mkdir()
    (core / "base.py").write_text(BASE_PY)
    (core / "base.pxd").write_text(BASE_PXD)
    (core / "thing.py").write_text(py)
    if pxd is not None:
        (core / "thing.pxd").write_text(pxd)
    names = compiled or '"pystack_c/base.py", "pystack_c/thing.py"'
    (tmp_path / "setup.py").write_text(f"COMPILED = [{names}]\n")
    return [f"{finding.kind}: {finding.text}" for finding in Lint(tmp_path).run()]


def test_a_clean_module_has_no_findings(tmp_path):
    assert lint(tmp_path) == []


def replaced(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new, 1)


PLANTED = [
    # what is planted, in which file, and the beginning of the one finding
    ("py", "total = self.count + n\n", "total = self.count + n\n        extra = 1\n", "local: Thing.grow: extra"),
    ("py", "total = self.count + n\n", "total = self.count + n\n        q: int = 1\n", "local: Thing.grow: q"),
    ("py", "for i in range(n):", "for i, j in enumerate(range(n)):", "local: Thing.grow: j"),
    ("py", "  # object", "", "local: Thing.grow: names"),
    ("py", "a, b = p[0], p[1]", "a, b, *c = p", "local: parse: c"),
    ("py", "return a + b + end", "return (d := a + b) + end", "local: parse: d"),
    ("pxd", ", b=int", "", "local: parse: b"),
    ("pxd", ", b=int", ", b=int, z=int", "unknown: parse: @cython.locals names z"),
    ("py", "def text(self):  # python", "def text(self):", "function: Thing.text"),
    ("py", "def walk", "def loose():\n    return 1\n\n\ndef walk", "function: loose"),
    ("py", "def walk", "class Other:\n    pass\n\n\ndef walk", "class: Other"),
    ("py", "self.count = total", "self.count = self.sum = total", "attribute: Thing.sum"),
    ("pxd", "cdef public int64_t count", "cdef public int64_t count, gone", "unknown: attribute Thing.gone"),
    ("pxd", "    cpdef int64_t grow", "    cpdef shrink(self)\n    cpdef int64_t grow", "unknown: Thing.shrink"),
    ("pxd", "cpdef int parse", "cpdef int lost(int x)\ncpdef int parse", "unknown: lost"),
    ("pxd", "int64_t n) except? -1", "int64_t n)", "except: Thing.grow returns a number"),
    ("pxd", "Py_ssize_t end) except? -1", "Py_ssize_t end)", "except: parse returns a number"),
    ("pxd", "cdef inline", "cdef class Lost:\n    pass\ncdef inline", "unknown: class Lost"),
    ("pxd", "cdef inline", "cdef int LIMIT\ncdef inline", "constant: LIMIT"),
    (
        "pxd",
        "cdef enum",
        'cdef extern from *:\n    """\n    #define __pyx_f_9pystack_c_3old_5thing_parse(p, end, skip) 0\n    """\ncdef enum',
        "macro: __pyx_f_9pystack_c_3old_5thing_parse",
    ),
    (
        "pxd",
        "cdef enum",
        'cdef extern from *:\n    """\n    #ifndef __PYX_HAVE__pystack_c__old__thing\n    """\ncdef enum',
        "macro: __PYX_HAVE__pystack_c__old__thing",
    ),
]


@pytest.mark.parametrize(("where", "old", "new", "expected"), PLANTED)
def test_a_planted_mistake_is_found(tmp_path, where, old, new, expected):
    py = replaced(CLEAN_PY, old, new) if where == "py" else CLEAN_PY
    pxd = replaced(CLEAN_PXD, old, new) if where == "pxd" else CLEAN_PXD
    found = lint(tmp_path, py, pxd)
    assert any(line.startswith(expected) for line in found), found
    # `lost` and `shrink` take the @cython.locals that stood before parse and grow: those are findings too
    assert len(found) == 1 or expected.startswith("unknown: ")


def test_macros_by_cythons_names_are_clean(tmp_path):
    macros = (
        "#ifndef __PYX_HAVE__pystack_c__thing\n    #define __pyx_f_9pystack_c_5thing_parse(p, end, skip) 0\n    #endif"
    )
    assert lint(tmp_path, pxd=f'cdef extern from *:\n    """\n    {macros}\n    """\n{CLEAN_PXD}') == []


def test_a_module_without_pxd(tmp_path):
    assert lint(tmp_path, pxd=None) == ["module: no .pxd beside it"]


def test_a_pxd_that_is_not_compiled(tmp_path):
    found = lint(tmp_path, compiled='"pystack_c/base.py"')
    assert found == ["module: pystack_c/thing.py is not in COMPILED (setup.py)"]


def test_parse_pxd_names():
    pxd = parse_pxd(CLEAN_PXD)
    assert pxd.functions["parse"].args == ["p", "end"]
    assert pxd.functions["parse"].locals == ["p", "a", "b"]
    assert pxd.classes["Thing"].methods["grow"].locals == ["total", "i"]
    assert "helper" not in pxd.functions and not pxd.variables


def test_the_real_tree_is_read():
    root = Path(__file__).resolve().parents[2]
    assert "pystack_c/base/timer.py" in compiled_list(root / "setup.py")
