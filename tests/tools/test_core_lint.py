"""The lint finds planted divisions and numbers, one at a time, and says nothing about the tree."""

from pathlib import Path

import pytest

from tools import core_lint

ROOT = Path(__file__).resolve().parents[2]
SETUP = 'COMPILED = ["pystack_c/thing.py"]\nDIRECTIVES = {"cdivision": False}\n'
PXD = """\
cimport cython
from libc.stdint cimport int64_t
cdef class Thing:
    cdef public double rate
    cdef public int64_t count
    @cython.locals(share=double, n=int64_t)
    cpdef int64_t work(self, int64_t n, double gain)
    cpdef int64_t quiet(self, int64_t n) noexcept
"""
PY = """\
SCALE = 2.0


class Thing:
    def work(self, n, gain):
        share = n / 2.0 + n / SCALE + n / gain + self.rate / n + n / float(self.count) + n * SCALE / 3 + (n / 4.0) / n
        n //= self.count
        return n // self.count + n % 7

    def quiet(self, n):
        return n // 8 + n // self.count  # not 0: counted from 1
"""


def findings(tmp_path, setup=SETUP, py=PY, pxd=PXD):
    """What the lint says about a tree of one module."""
    (tmp_path / "pystack_c").mkdir(exist_ok=True)
    (tmp_path / "setup.py").write_text(setup)
    (tmp_path / "pystack_c" / "thing.py").write_text(py)
    (tmp_path / "pystack_c" / "thing.pxd").write_text(pxd)
    return [finding.text for finding in core_lint.run(tmp_path)]


def test_the_tree_is_clean():
    assert core_lint.run(ROOT) == []


def test_control_a_clean_module(tmp_path):
    assert findings(tmp_path) == []


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("n / 2.0", "n / 2", "`/` of operands that may be integers"),
        ("n / gain", "n / n", "`/` of operands that may be integers"),
        ("self.rate / n", "self.count / n", "`/` of operands that may be integers"),
        ("float(self.count)", "int(self.count)", "`/` of operands that may be integers"),
        ("n //= self.count", "n /= self.count", "`/` of operands that may be integers"),
        ("  # not 0: counted from 1", "", "quiet is noexcept"),
        ("n // 8 + n // self.count", "n % self.count", "quiet is noexcept"),
        ("    def quiet", "    @cython.cdivision(True)\n    def quiet", "cdivision without"),
    ],
)
def test_planted(tmp_path, old, new, text):
    assert PY.count(old) == 1
    changed = PY.replace(old, new)
    if "% self.count" in new:
        changed = changed.replace("  # not 0: counted from 1", "")
    (found,) = findings(tmp_path, py=changed)
    assert text in found


def test_a_proof_is_taken(tmp_path):
    line = "    @cython.cdivision(True)  # proof: n and count are above 0\n    def quiet"
    assert findings(tmp_path, py=PY.replace("    def quiet", line)) == []


def test_the_directive(tmp_path):
    assert findings(tmp_path, setup=SETUP.replace("False", "True")) == ["cdivision must be off"]
