"""Sets the demo up (namespace, TAP, stack, web server), runs its steps, prints the summary, and removes everything again."""

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pystack
from pystack import services
from pystack.demo.steps import DemoSteps, Kernel, StepResult
from pystack.kernel.netns import Namespace
from pystack.running import up
from pystack.runtime.realtime import RealtimeHost
from pystack.style import Style
from pystack.trace import pcapng
from pystack.trace.annotate import AnnotatedCapture, FrameProbe, tee, wall_clock
from pystack.trace.narrator import Narrator, amount

KERNEL = "10.0.0.1"
STACK = "10.0.0.2"
PREFIX = 24


@dataclass
class Options:
    """The options of the command line."""

    size: int = 10_000_000
    offload: bool = True
    seed: int | None = None
    everything: bool = False
    quiet: bool = False
    write: str | None = None


class Demo:
    """One run of the demo. `run()` leaves nothing behind, even if a step fails."""

    def __init__(self, options: Options, style: Style):
        self.options = options
        self.style = style
        self.seed = int.from_bytes(os.urandom(8), "big") if options.seed is None else options.seed
        self.narrator = Narrator(style, options.everything, options.quiet)
        self.results: list[StepResult] = []

    def run(self) -> bool:
        """Run all steps; True if every step passed."""
        with contextlib.ExitStack() as undo:
            undo.callback(self.narrator.close)
            space = undo.enter_context(Namespace.new())
            # The kernel's IPv6 would talk to the TAP too (router solicitations); the demo is about IPv4.
            space.quiet()
            probe = self._probe(undo)
            running = up(
                "tap0",
                f"{STACK}/{PREFIX}",
                None,
                netns=space,
                host_address=f"{KERNEL}/{PREFIX}",
                offload=self.options.offload,
                # A seed that the user gave yields the same MAC each time; a random seed must not be visible in the MAC.
                mac=None if self.options.seed is None else 0x020000000000 | self.seed & 0xFFFFFFFFFF,
                seed=self.seed,
                probe=probe,
                default=False,
            )
            undo.callback(running.close)
            self.narrator.flush = lambda: running.host.inspect(lambda stack: probe.flush())
            self._introduce(running.device)
            for service in services.start("http:80", host=running.host):
                undo.callback(service.close)
            self._steps(DemoSteps(Kernel(space, self.narrator), STACK, self.options.size, self.seed))
            ok = self._summary(running.host)
        return ok

    def _probe(self, undo: contextlib.ExitStack) -> FrameProbe:
        sink: Callable[..., None] = self.narrator.frame
        if self.options.write is not None:
            stream = undo.enter_context(open(self.options.write, "wb"))
            sink = tee(sink, AnnotatedCapture(pcapng.PcapngWriter(stream), epoch=wall_clock()))
        return FrameProbe(sink)

    def _introduce(self, device: Any) -> None:
        bold = self.style("pystack", "bold")
        states = pystack.compiled().values()
        core = f"{sum(states)} of {len(states)} core modules compiled" if any(states) else "core uncompiled"
        self.narrator.say(f"{bold} {pystack.__version__}: {core}, seed {self.seed}")
        self.narrator.say(
            f"In a private network namespace the kernel is {KERNEL}, and the stack is {STACK} behind {device.name} "
            f"(MTU {device.mtu}, offload {'on' if device.offload else 'off'})."
        )
        arrow_in, arrow_out = self.style("<", "cyan"), self.style(">", "green")
        self.narrator.say(
            f"Each line shows a frame: seconds, {arrow_in} from the kernel or {arrow_out} from the stack, # the stack's decision."
        )

    def _steps(self, steps: DemoSteps) -> None:
        for step in (steps.ping, steps.page, steps.download, steps.upload):
            self.results.append(step())

    def _summary(self, host: RealtimeHost) -> bool:
        # curl ends when it has the data; the connections' last frames may still be on their way
        time.sleep(0.05)
        self.narrator.settle()
        say = self.narrator.say
        say()
        say(self.style("Summary", "bold"))
        for line in table(self.results, self.style):
            say(line)
        counters = host.inspect(lambda stack: (stack.counters.nonzero(), dict(stack.counters.drops)))
        total = self.narrator.total
        say(
            f"frames: {total.frames_in} in ({amount(total.bytes_in)}), {total.frames_out} out ({amount(total.bytes_out)})"
        )
        shown = ("TcpInSegs", "TcpOutSegs", "TcpRetransSegs", "TcpPassiveOpens", "IcmpInEchos", "IcmpOutEchoReps")
        say("counters: " + ", ".join(f"{name} {counters[0].get(name, 0)}" for name in shown))
        drops = counters[1]
        say("dropped: " + (", ".join(f"{name} {count}" for name, count in drops.items()) if drops else "nothing"))
        ok = all(result.ok for result in self.results)
        if host.failure is not None:
            say(self.style(f"the stack stopped: {host.failure!r}", "red"))
            ok = False
        say(self.style("All steps passed.", "green", "bold") if ok else self.style("FAILED.", "red", "bold"))
        return ok


def table(results: list[StepResult], style: Style) -> list[str]:
    """The lines of a table with one result each."""
    rows = [("step", "result", "time", "rate", "frames in/out", "")]
    for result in results:
        tally = result.tally
        frames = f"{tally.frames_in}/{tally.frames_out}" if tally is not None else ""
        mark = "ok" if result.ok else "FAILED"
        rows.append((result.name, mark, f"{result.seconds:.2f} s", result.rate(), frames, result.detail))
    widths = [max(len(row[i]) for row in rows) for i in range(6)]
    lines = []
    for number, row in enumerate(rows):
        cells = [cell.ljust(width) for cell, width in zip(row, widths)]
        if number == 0:
            lines.append(style("  " + "  ".join(cells).rstrip(), "dim"))
            continue
        cells[1] = style(cells[1], "green") if row[1] == "ok" else style(cells[1], "red", "bold")
        lines.append("  " + "  ".join(cells).rstrip())
    return lines
