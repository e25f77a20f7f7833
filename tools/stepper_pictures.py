#!/usr/bin/env python3
"""Draws the pictures of the terminal stepper in docs/images/ from the running program, driven by keys.

python tools/stepper_pictures.py [DIRECTORY]
"""

import asyncio
import re
import sys
from pathlib import Path

from pystack.stepper import scenarios
from pystack.stepper.tui import StepperApp, TerminalSession

RETRANSMISSION = 'until event.kind == "retransmit"'
#: file -> (scenario, columns and lines, commands)
PICTURES: dict[str, tuple[str, tuple[int, int], list[str]]] = {
    "step-ladder": ("loss-fast-retransmit", (80, 24), [RETRANSMISSION, "step frame"]),
    "step-frame": ("loss-fast-retransmit", (80, 24), [RETRANSMISSION, "view frame", "field tcp.seq"]),
    "step-events": ("loss-fast-retransmit", (80, 24), [RETRANSMISSION, "view events"]),
    "step-time": ("nagle", (80, 24), ["view time", "span 5"]),
    "step-scale": ("nagle", (80, 32), ["goto frame 5", "scale"]),
    "step-compare": ("nagle", (80, 24), ["whatif nodelay=a", "goto frame 6"]),
    "step-wide": ("loss-fast-retransmit", (140, 45), [RETRANSMISSION, "step frame", "field tcp.flags.ack"]),
}


async def draw(name: str) -> str:
    """Return one picture as SVG, without fonts from the network."""
    scenario, size, lines = PICTURES[name]
    found = scenarios.get(scenario)
    app = StepperApp(TerminalSession(found.timeline(), scenario=found))
    async with app.run_test(size=size) as pilot:
        for line in lines:
            app.do(line)
            await pilot.pause()
        picture = app.export_screenshot()
    picture = re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.S)
    return picture.replace("Fira Code", "Fira Code, DejaVu Sans Mono")


def main() -> None:
    """Draw all pictures."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images")
    for name in PICTURES:
        (folder / f"{name}.svg").write_text(asyncio.run(draw(name)))
        print(f"{folder / name}.svg")


if __name__ == "__main__":
    main()
