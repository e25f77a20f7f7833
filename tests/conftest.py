"""What all tests share. Importing pystack first makes PYSTACK_PURE=1 hold for the whole run."""

import pystack  # noqa: F401
