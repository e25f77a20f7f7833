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


QUIRK_FILES = {
    "settings/quirks.py": "class QuirkSettings:\n    def _some(self):\n        self.tcp_odd = False\n",
    "tcp/quirks.py": "def odd(tcb):\n    return tcb.core.config.tcp_odd\n",
}


def quirk_findings(tmp_path, path, text):
    """Return the findings of the lint about reads of quirks, in a tree that has this module."""
    for name, content in {**QUIRK_FILES, path: text}.items():
        (tmp_path / "pystack_c" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "pystack_c" / name).write_text(content)
    return [(finding.path, finding.line, finding.text) for finding in core_lint.check_quirks(tmp_path)]


@pytest.mark.parametrize("read", ["core.config.tcp_odd", 'getattr(config, "tcp_odd")'])
def test_the_main_path_reads_no_quirk(tmp_path, read):
    text = f"def arrives(core, config):\n    return {read}\n"
    (found,) = quirk_findings(tmp_path, "tcp/input.py", text)
    assert found == ("pystack_c/tcp/input.py", 2, "tcp_odd is a quirk: ask a function of tcp/quirks.py")


@pytest.mark.parametrize(
    "text",
    [
        "def arrives(core):\n    return core.config.tcp_even\n",
        "def arrives(core):\n    return _odd(core)\n\n\n# -- quirks ----\n\n\ndef _odd(core):\n    return core.config.tcp_odd\n",
    ],
)
def test_control_no_quirk_and_a_quirk_under_its_heading(tmp_path, text):
    assert quirk_findings(tmp_path, "tcp/input.py", text) == []


def test_control_the_headings_of_the_tree_are_needed(tmp_path):
    """The lint finds the settings of the tree, and without the heading it has findings in the same modules."""
    names = core_lint.quirk_settings(ROOT)
    assert {"tcp_buffer_window", "tcp_crossed_text", "tcp_linux_queue"} <= names and "tcp_sws" not in names
    quirks = (ROOT / core_lint.QUIRKS).read_text()
    for module in ("tcp/input.py", "tcp/window.py", "tcp/loss/rtt.py"):
        source = (ROOT / "pystack_c" / module).read_text()
        assert core_lint.QUIRK_HEADING in source
        text = source.replace(core_lint.QUIRK_HEADING, "# --")
        assert quirk_findings(tmp_path, module, text) == []  # no setting of that small tree
        (tmp_path / core_lint.QUIRKS).write_text(quirks)
        assert core_lint.check_quirks(tmp_path) != []
        (tmp_path / "pystack_c" / module).unlink()
