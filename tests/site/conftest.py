"""The static site, built for these tests, and a browser that reaches nothing but this machine."""

import re
import shutil
import subprocess
import sys
from contextlib import contextmanager

import pytest

from tests.stepper.web.conftest import FLAGS
from tools import static_site

#: no name has an address, and no address but the loopback's can be reached
ALONE = ("--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",)


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("no npm (Debian packages nodejs and npm)")
    # a folder below the root of the server
    out = tmp_path_factory.mktemp("www") / "some" / "course"
    static_site.build(out)
    return out


@pytest.fixture(scope="module")
def lonely_browser():
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium (Debian package chromium)")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=chromium, args=[*FLAGS, *ALONE])
        yield started
        started.close()


@contextmanager
def serving(folder, port=0):
    """`python -m http.server` for a folder. Yields the port."""
    command = [sys.executable, "-u", "-m", "http.server", "--bind", "127.0.0.1", "--directory", str(folder), str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        yield int(re.search(r"port (\d+)", process.stdout.readline())[1])
    finally:
        process.terminate()
        process.communicate(timeout=20)
