"""What all tests share. Importing pystack first makes PYSTACK_PURE=1 hold for the whole run."""

import os

from hypothesis import settings

import pystack  # noqa: F401

# The same examples each time: a run that fails, fails again, and says something about what was changed. `make fuzz` looks for new ones.
# None has a deadline: how long an example takes is the machine's load, not the code.
settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("search", derandomize=False, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))
