"""What a wheel and an sdist hold: the finished page of the web stepper, and nothing that Cython wrote on the way."""

import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

import pystack
from pystack.stepper.web.bundle import STATIC

ROOT = Path(__file__).resolve().parents[1]
#: files in C that somebody wrote: exercises of labs
EXERCISES = list((ROOT / "pystack" / "labs").glob("lab_*/*.c"))
PARTS = ("pystack", "pystack_c", "web", "setup.py", "pyproject.toml", "README.md", "LICENSE", "MANIFEST.in")


# The wheel is made from a copy of the tree: the build that runs the tests does not matter.
pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> tuple[Path, Path]:
    """A copy of the tree as `make build` leaves it, and what build_py puts into a wheel from there."""
    if not all(pystack.compiled().values()) or not (STATIC / "stepper.js").exists():
        pytest.skip("the core or the page is not built here")
    tree, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("out")
    ignore = shutil.ignore_patterns("node_modules", "__pycache__", "*.so")
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, tree / part, ignore=ignore)
        else:
            shutil.copy2(ROOT / part, tree)
    command = [sys.executable, "setup.py", "-q", "build_py", "--build-lib", str(out)]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    return tree, out


def test_the_page_is_in_it(built):
    _, out = built
    for name in ("index.html", "stepper.js", "stepper.css", "THIRD-PARTY.txt"):
        assert (out / "pystack" / "stepper" / "web" / "static" / name).read_bytes() == (STATIC / name).read_bytes()
    assert not list(out.rglob("*.ts")) and not list(out.rglob("node_modules"))


def test_the_pages_of_the_labs_are_in_it(built):
    _, out = built
    pages = sorted(path.relative_to(ROOT) for path in (ROOT / "pystack" / "labs").glob("lab_*/page.md"))
    assert len(pages) >= 3
    for page in pages:
        assert (out / page).read_bytes() == (ROOT / page).read_bytes()


def test_generated_c_is_not_in_it(built):
    tree, out = built
    assert len(list(tree.rglob("*.c"))) > 70  # control: it lies beside the sources
    # The C files of the labs are exercises, not generated.
    found = {path.relative_to(out) for path in out.rglob("*.c")}
    assert found == {path.relative_to(ROOT) for path in EXERCISES} and len(found) > 5
    assert (out / "pystack_c" / "core.py").exists() and (out / "pystack_c" / "core.pxd").exists()


def test_it_is_typed_and_what_it_needs_is_in_it(built):
    _, out = built
    assert (out / "pystack" / "py.typed").exists()
    missing = [
        path.relative_to(ROOT)
        for package in ("pystack", "pystack_c")
        for path in (ROOT / package).rglob("*.py")
        if not (out / path.relative_to(ROOT)).exists()
    ]
    assert missing == []


def test_an_sdist_has_the_sources_and_the_page_and_no_generated_c(built, tmp_path):
    """Cython has no part in it: whoever builds from it has Cython, by pyproject.toml, and would translate again."""
    tree, _ = built
    command = [sys.executable, "setup.py", "-q", "sdist", "--dist-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    exercises = {str(path.relative_to(ROOT)) for path in EXERCISES}
    assert exercises == {name for name in names if name.endswith(".c")}
    assert not [name for name in names if name.endswith(".so") or name.startswith("tests/")]
    for package in ("pystack", "pystack_c"):
        for path in (ROOT / package).rglob("*.p*"):
            if path.suffix in (".py", ".pxd"):
                assert str(path.relative_to(ROOT)) in names
    assert {"setup.py", "pyproject.toml", "web/build.py", "pystack/stepper/web/static/stepper.js"} <= names
