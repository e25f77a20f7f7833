"""The look of all plots (matplotlib): those of recordings (pystack.stepper.plot) and those of sweeps (pystack.sweeps.figure)."""

from typing import Any

#: Okabe and Ito's colours, which colour-blind people can tell apart: blue, orange, green, red, purple, sky, and grey
COLORS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#777777")
#: settings of matplotlib
STYLE: dict[Any, Any] = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "axes.axisbelow": True,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "pystack",
    "figure.dpi": 130,
    # names of hosts, files and parameters are not mathematics
    "text.parse_math": False,
}
