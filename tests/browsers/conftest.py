"""Browsers other than Chromium."""

import pytest

from tests.browsers import driven
from tests.site.conftest import site
from tests.stepper.web.served import need_page

__all__ = ["site"]


@pytest.fixture(scope="session", params=["firefox", "webkit"] if driven.ALL else ["firefox"])
def browser(request, tmp_path_factory):
    need_page()
    started = driven.start(request.param, tmp_path_factory.mktemp(request.param))
    yield started
    started.close()
