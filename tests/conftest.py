"""What all tests share. Importing pystack first makes PYSTACK_PURE=1 hold for the whole run."""

import os

from hypothesis import settings

import pystack  # noqa: F401

# The same examples each time: a run that fails, fails again, and says something about what was changed. `make fuzz` looks for new ones.
settings.register_profile("same", derandomize=True)
settings.register_profile("search", derandomize=False, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))
