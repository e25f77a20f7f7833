"""Runs files and directories, and reports: verdicts, the diagnosis of a failure, the table, the JSON."""

import os
import time
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from pystack.pkt.errors import Failure, ScriptError, Unsupported
from pystack.pkt.model import Script
from pystack.pkt.parser import load
from pystack.pkt.settings import DEFINES, PLATFORMS, ScriptSettings

PASSED, FAILED, UNSUPPORTED = "passed", "failed", "unsupported"

#: kinds of probe events that do not report a decision
QUIET = ("frame.in", "frame.out", "call", "timer.cancelled", "route")


@dataclass
class Verdict:
    """The result of one script."""

    path: str
    verdict: str
    reason: str = ""
    line: int = 0
    seconds: float = 0.0
    #: "syntax" if the script itself is wrong
    kind: str = ""
    notes: list[str] = field(default_factory=list)
    failure: Failure | None = None
    script: Script | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the verdict for the JSON."""
        found: dict[str, Any] = {"path": self.path, "verdict": self.verdict, "reason": self.reason}
        found.update({"line": self.line, "seconds": round(self.seconds, 4)})
        if self.notes:
            found["notes"] = self.notes
        return found


class LastEvents:
    """A probe that keeps a few of the decisions since the last packet arrived."""

    def __init__(self, most: int = 12):
        self.most = most
        self.events: list[Any] = []

    def event(self, event: Any) -> None:
        """Keep the event."""
        if event.kind not in QUIET and not (event.kind == "return" and event.fields.get("name") == "tcp_info"):
            self.events.append(event)
            if len(self.events) > 4 * self.most:
                del self.events[: -self.most]

    def last(self) -> list[Any]:
        """Return the newest ones."""
        return self.events[-self.most :]


def run_path(path: str, settings: ScriptSettings, explain: bool = True) -> Verdict:
    """Load and run one script. The result is a Verdict, whatever the file contains."""
    start = time.perf_counter()
    verdict = _run_path(path, settings, explain)
    verdict.seconds = time.perf_counter() - start
    return verdict


def _run_path(path: str, settings: ScriptSettings, explain: bool) -> Verdict:
    try:
        platform = {}
        if settings.profile in PLATFORMS and "STANDARD" not in settings.defines:
            platform[PLATFORMS[settings.profile]] = "1"
        script = load(path, {**DEFINES, **platform, **settings.defines})
    except OSError as error:
        return Verdict(path, FAILED, f"cannot be read: {error.strerror}", kind="syntax")
    except ScriptError as error:
        return Verdict(path, FAILED, f"script error: {error.message}", error.line, kind="syntax")
    except Unsupported as error:
        return Verdict(path, UNSUPPORTED, error.message, error.line)
    verdict = run_script(script, settings)
    if verdict.failure is not None and explain:
        _explain(script, settings, verdict.failure)
    return verdict


def run_script(script: Script, settings: ScriptSettings, probe: Any = None) -> Verdict:
    """Run a parsed script."""
    from pystack.pkt.runner import Runner

    mine = deepcopy(settings)
    runner: Runner | None = None
    verdict = Verdict(script.path, PASSED, script=script)
    try:
        mine.take(script)
        runner = Runner(script, mine, probe)
        runner.run()
    except Failure as failure:
        verdict = Verdict(script.path, FAILED, failure.message, failure.line, failure=failure, script=script)
        tcb: Any = runner.current_tcb() if runner is not None else None
        failure.snapshot = tcb.snapshot() if hasattr(tcb, "snapshot") else {}
    except ScriptError as error:
        verdict = Verdict(script.path, FAILED, f"script error: {error.message}", error.line, kind="syntax")
        verdict.script = script
    except Unsupported as error:
        verdict = Verdict(script.path, UNSUPPORTED, error.message, error.line, script=script)
    except Exception as error:
        # The core may raise nothing but OSError. Anything else is a failure too, but must not stop the run of a
        # directory.
        line = runner.line if runner is not None else 0
        verdict = Verdict(script.path, FAILED, f"the stack raised {type(error).__name__}: {error}", line, script=script)
    if runner is not None:
        verdict.notes = runner.notes
    return verdict


def _explain(script: Script, settings: ScriptSettings, failure: Failure) -> None:
    """Run again with a probe. The run is the same, and this time the core reports its reasons."""
    probe = LastEvents()
    again = run_script(script, settings, probe)
    if again.failure is not None and again.failure.line == failure.line:
        failure.events = probe.last()


def find_scripts(path: str) -> list[str]:
    """Return all .pkt files below a directory, sorted."""
    found = []
    for folder, folders, files in os.walk(path):
        folders.sort()
        found += [os.path.join(folder, name) for name in sorted(files) if name.endswith(".pkt")]
    return found


def diagnosis(verdict: Verdict) -> str:
    """Describe what a user needs to know about a script that did not pass."""
    where = f"{verdict.path}:{verdict.line}" if verdict.line else verdict.path
    lines = [f"{where}: {verdict.verdict}: {verdict.reason}"]
    if verdict.script is not None and verdict.line:
        lines.append(f"  script    {verdict.script.source(verdict.line)}")
    failure = verdict.failure
    if failure is not None:
        lines.append(f"  time      {failure.time:.6f} s")
        if failure.expected:
            lines.append(f"  expected  {failure.expected}")
        for i, text in enumerate(failure.actual.split("\n") if failure.actual else []):
            lines.append(f"  {'actual' if i == 0 else '':9} {text}")
        lines += [f"  differs   {difference}" for difference in failure.differences[1:]]
        if failure.snapshot:
            lines += _wrap("connection", failure.snapshot)
        for event in failure.events:
            rule = f" [{event.rfc}]" if event.rfc else ""
            lines.append(f"  {event.time / 1e9 - 1000:.6f} {event.kind}: {event.reason}{rule}{_fields(event)}")
    lines += [f"  note      {note}" for note in verdict.notes]
    return "\n".join(lines)


def _fields(event: Any) -> str:
    shown = [f"{k}={v}" for k, v in event.fields.items() if not isinstance(v, bytes)]
    return f" ({', '.join(shown)})" if shown else ""


def _wrap(title: str, values: dict[str, Any]) -> list[str]:
    lines, current = [], f"  {title}"
    for name, value in values.items():
        part = f" {name}={value}"
        if len(current) + len(part) > 118:
            lines.append(current)
            current = "           "
        current += part
    return [*lines, current]


def table(verdicts: list[Verdict], root: str) -> str:
    """Return the counts by folder, and their sum."""
    rows: dict[str, dict[str, int]] = {}
    for verdict in verdicts:
        folder = os.path.relpath(os.path.dirname(verdict.path), root)
        row = rows.setdefault(folder, {PASSED: 0, FAILED: 0, UNSUPPORTED: 0})
        row[verdict.verdict] += 1
    width = max([len(name) for name in rows] + [5])
    lines = [f"{'folder':{width}}  {PASSED:>7}  {FAILED:>7}  {UNSUPPORTED:>11}"]
    for name, row in rows.items():
        lines.append(f"{name:{width}}  {row[PASSED]:7}  {row[FAILED]:7}  {row[UNSUPPORTED]:11}")
    total = counts(verdicts)
    lines.append(f"{'total':{width}}  {total[PASSED]:7}  {total[FAILED]:7}  {total[UNSUPPORTED]:11}")
    return "\n".join(lines)


def counts(verdicts: list[Verdict]) -> dict[str, int]:
    """Return the number of scripts by verdict."""
    return {name: sum(v.verdict == name for v in verdicts) for name in (PASSED, FAILED, UNSUPPORTED)}


def as_json(verdicts: list[Verdict], settings: ScriptSettings) -> dict[str, Any]:
    """Return the whole run, for JSON."""
    result: dict[str, Any] = dict(counts(verdicts))
    result["profile"] = settings.profile
    result["scripts"] = [v.as_dict() for v in verdicts]
    return result
