"""What the tests of the course share: state of their own, and the browser of the stepper's tests."""

import pytest

from tests.stepper.web.conftest import browser

__all__ = ["browser"]


@pytest.fixture(autouse=True)
def own_state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
