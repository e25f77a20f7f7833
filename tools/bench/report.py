"""The results of a run: rows, the ratios that have goals, the table, the picture, build/bench.json."""

import json
import os
import platform
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from tools.bench.works import unit

PYTHON = ("blocking", "asyncio")
RATES = ("request-response, same core", "request-response, across", "connections", "HTTP keep-alive", "UDP echo")
#: two queues of one device in two processes, compared with one (queues.py)
BUSY = "requests that cost the server work"
QUEUES = {1: "pystack, one queue", 2: "pystack, two queues"}


@dataclass
class Ratio:
    """One goal: `of` divided by the best of `to` in a work must be at least (or at most) `bar`."""

    work: str
    of: str
    to: tuple[str, ...]
    bar: float
    at_most: bool = False


def ratios() -> list[Ratio]:
    """Return the ratios that pystack must reach."""
    found = []
    for way in ("receive", "send"):
        found.append(Ratio(f"bulk {way}", "pystack blocking", ("limit, TSO",), 0.6))
        found.append(Ratio(f"bulk {way}", "pystack blocking", ("gVisor, TSO",), 1.3))
        found.append(Ratio(f"bulk {way}", "pystack blocking, plain", ("gVisor, plain", "lwIP"), 1.0))
        found.append(Ratio(f"bulk {way}, CPU", "pystack blocking", ("gVisor, TSO",), 0.5, at_most=True))
    for program in PYTHON:
        found += [Ratio(work, f"pystack {program}", (f"kernel {program}",), 1.0) for work in RATES]
    found += [Ratio(work, "pystack compiled", ("gVisor, TSO", "lwIP", "smoltcp"), 1.0) for work in RATES]
    found.append(Ratio("start-up", "pystack", ("asyncio",), 1.0, at_most=True))
    found.append(Ratio("simulated segments", "simulator", ("ns-3",), 1.0))
    found.append(Ratio(BUSY, QUEUES[2], (QUEUES[1],), 1.5))
    return found


#: figures with an absolute goal instead of a peer: (work, stack, at most)
ABSOLUTE = [
    *((f"memory a connection, {count} idle", f"pystack {kind}", 4.0)
      for count in ("10,000", "100,000") for kind in ("compiled", "blocking")),
    ("cost of a request beside 100,000 connections", "pystack compiled", 1.2),
    ("cost of a request beside 100,000 connections", "pystack blocking", 1.2),
    ("CPU of 10,000 idle connections", "pystack compiled", 0.1),
    ("CPU of 10,000 idle connections", "pystack blocking", 0.1),
    ("1 GB transfer", "simulator", 10.0),
]  # fmt: skip


class Results:
    """The measurements: (stack, work) -> its values."""

    def __init__(self, path: Path, add: bool = False):
        self.path = path
        self.rows: dict[tuple[str, str], list[float]] = {}
        self.failures: dict[tuple[str, str], str] = {}
        self.load: list[float] = []
        if add and path.exists():
            for row in json.loads(path.read_text())["rows"]:
                self.rows[row["stack"], row["work"]] = row["values"]
        self._kept = dict(self.rows)

    def add(self, stack: str, work: str, value: float) -> None:
        """Add one more value. The first one replaces the values of an earlier run."""
        key = (stack, work)
        if self._kept.get(key) is self.rows.get(key):
            self._kept.pop(key, None)
            self.rows[key] = []
        self.rows[key].append(value)

    def fail(self, stack: str, work: str, why: str) -> None:
        """Note why it could not be measured."""
        self.failures[stack, work] = why

    def median(self, stack: str, work: str) -> float | None:
        """Return the median, or None."""
        values = self.rows.get((stack, work))
        return median(values) if values else None

    def verdicts(self) -> list[dict[str, Any]]:
        """Return the ratios that could be measured, each with its goal."""
        found = []
        for one in ratios():
            mine = self.median(one.of, one.work)
            peers = {name: value for name in one.to if (value := self.median(name, one.work))}
            if mine is None or not peers:
                continue
            pick = min if one.at_most else max
            best = pick(peers, key=lambda name: peers[name])
            found.append(self._verdict(one.work, one.of, best, mine / peers[best], one.bar, one.at_most))
        for work, stack, bar in ABSOLUTE:
            value = self.median(stack, work)
            if value is not None:
                found.append(self._verdict(work, stack, unit(work) or "s", value, bar, True))
        return found

    @staticmethod
    def _verdict(work: str, of: str, to: str, ratio: float, bar: float, at_most: bool) -> dict[str, Any]:
        met = ratio <= bar if at_most else ratio >= bar
        return {"work": work, "of": of, "to": to, "ratio": ratio, "bar": bar, "at_most": at_most, "met": met}

    def write(self) -> None:
        """Write the .json file."""
        rows = [
            {
                "stack": stack,
                "work": work,
                "unit": unit(work),
                "median": median(values),
                "min": min(values),
                "max": max(values),
                "values": values,
            }
            for (stack, work), values in self.rows.items()
        ]
        skipped = [{"stack": stack, "work": work, "why": why} for (stack, work), why in self.failures.items()]
        machine = {"cpus": os.cpu_count(), "kernel": platform.release(), "python": platform.python_version()}
        whole = {"machine": machine, "load": self.load, "rows": rows, "ratios": self.verdicts(), "skipped": skipped}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(whole, indent=1) + "\n")

    def table(self) -> str:
        """Return all rows, then the ratios, then what is missing."""
        lines = []
        names = list(dict.fromkeys(work for _, work in self.rows))
        for work in names:
            lines.append(f"\n{work} ({unit(work) or '-'})")
            for (stack, other), values in self.rows.items():
                if other == work:
                    spread = f"{number(min(values))} .. {number(max(values))}" if len(values) > 1 else ""
                    lines.append(f"  {stack:<26}{number(median(values)):>12}   {spread}")
        lines.append("\nratios (within this run)")
        for one in self.verdicts():
            sign, verdict = ("<=" if one["at_most"] else ">="), ("met" if one["met"] else "NOT MET")
            head = f"  {one['work']}: {one['of']} / {one['to']}"
            lines.append(f"{head:<86}{one['ratio']:7.2f}  {sign} {one['bar']:<5g} {verdict}")
        for (stack, work), why in self.failures.items():
            lines.append(f"  {stack}: {work}: {why}")
        load = ", ".join(f"{value:.1f}" for value in self.load)
        lines.append(f"load of the machine at the end of each run: {load}; the measurement itself makes about 2")
        return "\n".join(lines)

    def picture(self, path: Path) -> None:
        """Draw the ratios as bars."""
        from tools.bench.picture import draw

        path.write_text(draw(self.verdicts()))


def number(value: float) -> str:
    """Format a number with three significant digits."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
