"""`python -m pystack.cli` is the command `pystack`."""

from pystack.cli.main import main

main()
