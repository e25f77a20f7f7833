"""A browser for the tests of the page: Debian's Chromium. tests/browsers has others."""

import shutil

import pytest

from tests.stepper.web.served import need_page

FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update "
    "--disable-sync --disable-default-apps --no-default-browser-check"
).split()


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium (Debian package chromium)")
    need_page()
    # a new, empty user-data-dir each time: Playwright makes one and takes it away
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=chromium, args=FLAGS, timeout=100_000)
        yield started
        started.close()
