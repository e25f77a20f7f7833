"""What the plugin asks of each test. This module, too, is imported if a project does not use the plugin."""

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pystack.pytest_plugin.settings import MarkSettings

#: the fixture that makes the network of a test; a test that has it runs in virtual time
WORLD = "_pystack"
_SETTINGS = pytest.StashKey["MarkSettings"]()


def is_ours(item: Any) -> bool:
    """Whether a test runs in virtual time: it has the mark, or the fixture `net`."""
    return WORLD in getattr(item, "fixturenames", ()) or item.get_closest_marker("pystack") is not None


def settings_of(item: Any) -> "MarkSettings":
    """The settings of a test's marks."""
    found = item.stash.get(_SETTINGS, None)
    if found is None:
        from pystack.pytest_plugin import settings

        found = item.stash[_SETTINGS] = settings.of(item.iter_markers("pystack"))
    return found
