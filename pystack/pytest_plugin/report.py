"""The section that the report of a failing test has: its seed, the command that replays it, and the files that it left."""

import os
import re
import shlex
import shutil
import sys
from collections.abc import Sequence
from typing import Any

from pystack.pytest_plugin import files
from pystack.pytest_plugin.decisions import Made
from pystack.pytest_plugin.shrink import Outcome, Shrinker
from pystack.sim.nodes import Switch
from pystack.trace.summary import Summarizer
from pystack.visible import one_line

#: faults that the report shows
MOST = 12
NOT_AGAIN = (
    "the same run did not fail in the same way when it was repeated: something outside of virtual time decides, "
    "such as a global variable, a real file or socket, or datetime.now()"
)
_SEED = re.compile(r"(?<=\[)seed=\d+-|-seed=\d+(?=[-\]])|\[seed=\d+\]$")
_WORDS = {"lost": "is lost", "late": "is overtaken", "twice": "arrives twice"}


def plain_nodeid(nodeid: str) -> str:
    """The id of a test without the seed that --pystack-seeds adds."""
    return _SEED.sub("", nodeid)


def command(config: Any, nodeid: str, *options: str) -> str:
    """The command that runs one test, from the folder in which pytest was started."""
    path, separator, rest = nodeid.partition("::")
    path = nearest(config, os.path.join(config.rootpath, path))
    words = [path + separator + rest, *options]
    if config.getoption("inifilename", None):
        words += ["-c", str(config.getoption("inifilename"))]
    if config.getoption("rootdir", None):
        words += ["--rootdir", str(config.getoption("rootdir"))]
    return " ".join(shlex.quote(word) for word in [*_pytest(config), *words])


def _pytest(config: Any) -> list[str]:
    """The words with which pytest was started."""
    started = getattr(config, "workerinput", {}).get("mainargv", sys.argv)[:1] or ["pytest"]
    name = os.path.basename(started[0])
    if name in ("pytest", "py.test"):
        found = shutil.which(name)
        same = found is not None and os.path.abspath(found) == os.path.abspath(started[0])
        return [name if same else started[0]]
    python = shutil.which("python")
    same = python is not None and os.path.abspath(python) == os.path.abspath(sys.executable)
    return ["python" if same else sys.executable, "-m", "pytest"]


def nearest(config: Any, path: str) -> str:
    """A path as it is seen from the folder in which pytest was started, if it is below that folder."""
    start = str(config.invocation_params.dir)
    relative = os.path.relpath(path, start)
    return os.path.abspath(path) if relative.startswith("..") else relative


def of_replay(config: Any, outcome: Outcome) -> str:
    """The text of a run that repeats a failing one."""
    lines = [f"replayed {config.getoption('pystack_replay')}, {_when(outcome)}", *_faults(outcome)]
    return "\n".join(lines)


class Lines:
    """Makes the text for one test."""

    def __init__(self, config: Any, nodeid: str, hosts: Sequence[str]):
        self.config = config
        self.nodeid = nodeid
        self.hosts = hosts

    def by_seed(self, first: Outcome, remark: str) -> str:
        """The text if there is nothing but the seed."""
        assert first.plan is not None
        again = command(self.config, plain_nodeid(self.nodeid), f"--pystack-seed={first.plan.seed}")
        return "\n".join([_when(first), *([remark] if remark else []), f"replay:  {again}"])

    def of(self, first: Outcome, shrinker: Shrinker, last: Outcome, stem: str) -> str:
        """The text of a failing run that was made smaller, and recorded."""
        lines = [_when(last)]
        if shrinker.runs:
            runs = f"found by {shrinker.runs} run" + ("s" if shrinker.runs > 1 else "")
            if shrinker.spent():
                runs += ", and perhaps there is a smaller one (--pystack-shrink=N allows more runs)"
            lines.append(f"the smallest run that fails in the same way, {runs}:")
            lines += _faults(last, len(first.faults))
            lines += self._rest(shrinker, first, last)
        replay = f"--pystack-replay={nearest(self.config, stem + '.json')}"
        lines.append(f"replay:  {command(self.config, plain_nodeid(self.nodeid), replay)}")
        lines += self._files(stem)
        return "\n".join(lines)

    def _rest(self, shrinker: Shrinker, first: Outcome, last: Outcome) -> list[str]:
        """Lines for the hosts, the schedule and the limit of the smallest run."""
        lines = []
        plan = shrinker.best
        if plan.without:
            kept = [name for name in self.hosts if name not in plan.without]
            lines.append(f"  {len(kept)} of {len(self.hosts)} hosts" + (f": {', '.join(kept)}" if kept else ""))
        if first.steps:
            lines.append(f"  {len(last.steps)} of {len(first.steps)} steps of the schedule")
            lines += [f"    {step}" for step in last.steps]
        if plan.limit:
            lines.append(f"  a limit of {plan.limit / 1e9:.3f} s of virtual time")
        return lines

    def _files(self, stem: str) -> list[str]:
        """Make the capture and the page of the recording. Returns a line for each file."""
        names = {end: nearest(self.config, f"{stem}.{end}") for end in ("pytrace", "pcapng", "html")}
        lines = [f"trace:   {names['pytrace']}  (pystack step)"]
        makers = (("pcapng", "capture", files.write_capture), ("html", "stepper", files.write_page))
        for end, title, make in makers:
            try:
                make(f"{stem}.pytrace", f"{stem}.{end}")
                lines.append(f"{title + ':':8} {names[end]}")
            except ImportError as error:
                lines.append(f"{title + ':':8} needs the package {error.name}: pip install 'pystack[web]'")
            except Exception as error:
                lines.append(f"{title + ':':8} could not be made: {one_line(str(error))}")
        return lines


def _when(outcome: Outcome) -> str:
    assert outcome.plan is not None
    return f"seed {outcome.plan.seed}, failed after {outcome.ended_at / 1e9:.6f} s of virtual time"


def _faults(outcome: Outcome, of: int = -1) -> list[str]:
    """A line for each fault that happened, of so many in the run that failed first."""
    count = len(outcome.made)
    if not count:
        lines = ["  no fault of the network"]
    else:
        lines = [f"  {count}{f' of {of}' if of >= 0 else ''} fault{'s' if max(count, of) > 1 else ''} of the network"]
    lines += [f"    {_fault(made, outcome)}" for made in outcome.made[:MOST]]
    if count > MOST:
        lines.append(f"    ... and {count - MOST} more")
    return lines


def _fault(made: Made, outcome: Outcome) -> str:
    """A line for one fault: the frame, and what happened to it."""
    fault = made.fault
    source, sink, kind = outcome.ways.get(fault.channel, (None, None, 1))
    way = f"from {source.name}" if source is not None else f"of {fault.channel}"
    if isinstance(source, Switch):
        way = f"to {sink.name}"
    elif not isinstance(sink, Switch) and sink is not None:
        way += f" to {sink.name}"
    if fault.kind == "jitter":
        what = f"arrives {fault.value / 1e6:.3f} ms later"
    elif fault.kind == "corrupt":
        what = f"has bit {fault.value} flipped"
    else:
        what = _WORDS[fault.kind]
    return f"{made.time / 1e9:.6f} s: frame {fault.number} {way} {what}: {_summary(made.frame, kind, outcome.names)}"


def _named(word: str, names: dict[str, str]) -> str:
    """The word with the host's name instead of an IPv4 address, with which it may begin, as in `10.0.0.1.80:`."""
    parts = word.split(".", 4)
    last = parts[3].rstrip(":,)") if len(parts) >= 4 else ""
    address = ".".join([*parts[:3], last])
    return names[address] + word[len(address) :] if address in names else word


def _summary(frame: bytes, kind: int, names: dict[str, str]) -> str:
    """One line for a frame, with the names of hosts, without options, and with the beginning of its text."""
    line = Summarizer().line(frame, kind).removeprefix("IP ")
    before, options, after = line.partition(" options [")
    if options:
        line = before.removesuffix(",") + after.partition("]")[2]
    line = " ".join(_named(word, names) for word in line.split(" "))
    size = re.search(r"length (\d+)$", line)
    if size and int(size[1]):
        words = re.match(rb"[ -~]{4,60}", frame[len(frame) - int(size[1]) :])
        if words:
            line += f': "{words[0].decode()}"'
    return one_line(line)
