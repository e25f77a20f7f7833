"""compiled(), PYSTACK_PURE=1, and the guards against stale extensions."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import pystack
from pystack import _build

ROOT = Path(__file__).resolve().parent.parent


def run(code: str, **environ: str) -> str:
    """The output of a fresh interpreter."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), **environ}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr


def test_pure_runs_every_module_from_source():
    code = "import pystack, pystack_c.timer as t; print(t.__file__, any(pystack.compiled().values()))"
    assert run(code, PYSTACK_PURE="1").strip() == f"{ROOT / 'pystack_c' / 'timer.py'} False"


@pytest.mark.skipif(_build.pure(), reason="needs the compiled core")
def test_compiled_control():
    code = "import pystack, pystack_c.timer as t; print(t.__file__, pystack.compiled()['pystack_c.timer'])"
    built = next(m for m in _build.modules() if m.name == "pystack_c.timer")
    if built.extension is None:
        pytest.skip("not compiled here")
    assert run(code, PYSTACK_PURE="").strip() == f"{built.extension} True"


def test_compiled_says_what_was_loaded():
    import pystack_c.timer

    assert pystack.compiled()["pystack_c.timer"] == (not pystack_c.timer.__file__.endswith(".py"))


def test_pure_after_a_compiled_module_is_an_error():
    built = next(m for m in _build.modules() if m.name == "pystack_c.timer")
    if built.extension is None:
        pytest.skip("not compiled here")
    assert "ImportError: PYSTACK_PURE=1, but pystack_c." in run("import pystack_c.timer, pystack", PYSTACK_PURE="1")


def make_core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, so_age: int) -> None:
    """A core of one module whose extension is `so_age` seconds older than its source."""
    for name, when in (("a.py", 1000), ("a.pxd", 1000), ("a" + _build.EXTENSION_SUFFIXES[0], 1000 - so_age)):
        (tmp_path / name).write_text("")
        os.utime(tmp_path / name, (when, when))
    monkeypatch.setattr(_build, "core_dir", lambda: tmp_path)
    monkeypatch.delenv("PYSTACK_PURE", raising=False)


@pytest.mark.parametrize(("so_age", "stale"), [(5, True), (0, False), (-5, False)])
def test_stale_extension_is_reported(tmp_path, monkeypatch, so_age, stale):
    make_core(tmp_path, monkeypatch, so_age)
    (module,) = _build.modules()
    assert module.compiled and module.stale == stale
    assert ("STALE" in _build.compiled_report()) == stale


@pytest.mark.parametrize(("so_age", "stale"), [(5, False), (3600, True)])
def test_an_installed_wheel_is_as_old_as_its_unpacking(tmp_path, monkeypatch, so_age, stale):
    package = tmp_path / "pystack_c"
    package.mkdir()
    (tmp_path / "pystack-0.1.0.dist-info").mkdir()
    make_core(package, monkeypatch, so_age)
    assert next(iter(_build.modules())).stale == stale


def test_changed_layout_is_an_error():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _build.prepare()
        text = "pystack_c.core.Core size changed, may indicate binary incompatibility. Expected 1 from C header, got 2"
        with pytest.raises(RuntimeWarning):
            warnings.warn(text, RuntimeWarning, stacklevel=1)
        warnings.warn("numpy.ufunc size changed", RuntimeWarning, stacklevel=1)


def test_versions_agree():
    assert f'version = "{pystack.__version__}"' in (ROOT / "pyproject.toml").read_text()
