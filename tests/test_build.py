"""compiled(), PYSTACK_PURE=1, and the guards against stale extensions."""

import json
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
    code = "import pystack, pystack_c.base.timer as t; print(t.__file__, any(pystack.compiled().values()))"
    assert run(code, PYSTACK_PURE="1").strip() == f"{ROOT / 'pystack_c' / 'base/timer.py'} False"


@pytest.mark.skipif(_build.pure(), reason="needs the compiled core")
def test_compiled_control():
    code = "import pystack, pystack_c.base.timer as t; print(t.__file__, pystack.compiled()['pystack_c.base.timer'])"
    built = next(m for m in _build.modules() if m.name == "pystack_c.base.timer")
    if built.extension is None:
        pytest.skip("not compiled here")
    assert run(code, PYSTACK_PURE="").strip() == f"{built.extension} True"


def test_compiled_says_what_was_loaded():
    import pystack_c.base.timer

    assert pystack.compiled()["pystack_c.base.timer"] == (not pystack_c.base.timer.__file__.endswith(".py"))


def test_pure_after_a_compiled_module_is_an_error():
    built = next(m for m in _build.modules() if m.name == "pystack_c.base.timer")
    if built.extension is None:
        pytest.skip("not compiled here")
    assert "ImportError: PYSTACK_PURE=1, but pystack_c." in run(
        "import pystack_c.base.timer, pystack", PYSTACK_PURE="1"
    )


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


def c_flags(tmp_path: Path, **environ: str) -> list[str]:
    """The C compiler's flags of setup.py; with "cython" among them where Cython's warnings are errors too."""
    code = (
        "import json, runpy, setuptools, Cython.Build as build, Cython.Compiler.Options as options\n"
        "setuptools.setup = lambda **kwargs: None\n"
        "build.cythonize = lambda *args, **kwargs: []\n"
        f"made = runpy.run_path({str(ROOT / 'setup.py')!r})\n"
        "made['translate']()\n"
        "print(json.dumps(made['C_FLAGS'] + (['cython'] if options.warning_errors else [])))"
    )
    (tmp_path / "pystack_c").mkdir(exist_ok=True)  # it notes there what it was called with
    env = {name: value for name, value in os.environ.items() if name not in ("PYSTACK_WERROR", "PYSTACK_PURE")}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=env | environ, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    flags: list[str] = json.loads(done.stdout)
    return flags


def test_warnings_are_errors_for_developers_only(tmp_path):
    """A compiler or a Cython that warns of more than those of today must not keep a user from building."""
    plain, strict = c_flags(tmp_path), c_flags(tmp_path, PYSTACK_WERROR="1")
    assert "-Wsign-compare" in plain and "-Wall" in plain
    assert not any(flag.startswith("-Werror") or flag == "cython" for flag in plain)
    assert [flag for flag in strict if flag not in plain] == ["-Werror", "cython"]


@pytest.mark.parametrize(("target", "strict"), [("build", True), ("setup-demo", False), ("setup", False)])
def test_the_commands_of_the_readme_are_not_strict(tmp_path, target, strict):
    """`make demo` and `make test`, by their set-ups, are for users; `make build` is for developers."""
    shell = tmp_path / "shell"  # shows what a recipe is given instead of running it
    shell.write_text("#!/bin/sh\nenv\n")
    shell.chmod(0o755)
    env = {name: value for name, value in os.environ.items() if name not in ("PYSTACK_WERROR", "MAKEFLAGS")}
    command = ["make", "-s", target, f"SHELL={shell}"]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "PATH=" in done.stdout, done.stdout + done.stderr
    assert ("PYSTACK_WERROR=1" in done.stdout.split("\n")) == strict
