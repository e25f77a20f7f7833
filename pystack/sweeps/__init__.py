"""Sweeps: one function, run with many parameters and seeds, on all cores or on many machines. See docs/howto/sweeps.md.

result = pystack.sweep(transfer, {"loss": [0, 0.01], "algorithm": ["reno", "cubic"]}, seeds=10, file="transfer.sqlite")
print(result.table("seconds"))
"""

from pystack.sweeps.errors import SweepError
from pystack.sweeps.results import Summary, Sweep, SweepRow
from pystack.sweeps.run import Progress, sweep

__all__ = ["Progress", "SweepRow", "Summary", "Sweep", "SweepError", "sweep"]
