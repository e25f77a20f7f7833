#!/usr/bin/env python3
"""Takes the pictures of docs/reference/stepper-web.md and of docs/howto/course.md: the web stepper and the course in Chromium, and the plots.

Usage: tools/stepper_web_pictures.py [FOLDER [PATTERN]]      (docs/images; PATTERN chooses pictures by name)
"""

import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from pystack.stepper import scenarios
from pystack.stepper.plot.figures import KINDS, draw

ROOT = Path(__file__).resolve().parent.parent
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update "
    "--disable-sync"
).split()
RETRANSMISSION = 'event.kind == "retransmit"'
FILTER = """document.querySelector('#filter').value = 'tcb.cwnd < 2*tcb.mss or event.kind == "retransmit"';
document.querySelector('form.bar').requestSubmit();
document.querySelector('#expression').value = 'event.kind == "retransmit"';
document.querySelector('#add-break').click()"""
BRANCH = """const change = document.querySelector('#change'); change.value = 'deliver';
change.dispatchEvent(new Event('change')); document.querySelector('#argument').value = '8';
document.querySelector('#run-branch').click()"""
FIELD = """document.querySelector('[data-abbrev="tcp.seq"]').click()"""
LARGEST = """document.querySelector('#time-largest').click()"""
SIMPLE = "ladder,sequence,frame,tcb,breaks"

TRY = """document.querySelector('[data-try]').click()"""
FOLLOW = """document.querySelector("[data-talk='0'] button").click()"""

#: name -> (scenario, breakpoint to run to, light or dark, panes, place that fills the page, script)
PICTURES = {
    "light": ("loss-fast-retransmit", RETRANSMISSION, "light", SIMPLE, "", ""),
    "dark": ("loss-fast-retransmit", 'event.kind == "tcp.cwnd" and tcb.ssthresh < 65536', "dark",
             "ladder,windows,frame,tcb,timers", "", ""),
    "events": ("loss-fast-retransmit", RETRANSMISSION, "light", "events,windows,frame,tcb,breaks", "", FILTER),
    "sequence": ("loss-fast-retransmit", RETRANSMISSION, "light", SIMPLE, "upper", ""),
    "windows": ("loss-fast-retransmit", RETRANSMISSION, "dark", "ladder,windows,frame,tcb,breaks", "upper", ""),
    "states": ("time-wait", 'event.kind == "state" and state == FIN_WAIT_2', "light", "ladder,states,frame,tcb,timers", "", ""),
    "states-dark": ("simultaneous-open", 'event.kind == "state" and state == SYN_RECEIVED', "dark",
                    "ladder,states,frame,tcb,timers", "", ""),
    "frame": ("loss-fast-retransmit", RETRANSMISSION, "dark", SIMPLE, "lower", FIELD),
    "whatif": ("loss-fast-retransmit", RETRANSMISSION, "light", "ladder,sequence,whatif,tcb,breaks", "lower", BRANCH),
    "beginner": ("nagle", 'host == "a" and event.kind == "hold"', "light", "ladder&layout=beginner", "", ""),
    "try": ("nagle", 'event.kind == "state" and state == ESTABLISHED', "light", "ladder&layout=beginner", "", TRY),
    "projector": ("handshake", 'event.kind == "state" and state == ESTABLISHED', "light", "ladder&layout=beginner", "",
                  "document.querySelector('#projector').click()"),
    "conversations": ("http-get", "frame.number == 5", "light", "streams,sequence,frame,tcb,breaks", "", FOLLOW),
    "time": ("post", "event.kind == 'call'", "light", "ladder,time,frame,tcb,breaks", "", LARGEST),
    "scale": ("time-wait", "frame.number == 9", "light", "ladder&layout=beginner&ladder=scale", "", ""),
    "ladder": ("pmtud", "event.kind == 'icmp.in'", "light", SIMPLE, "left", ""),
}  # fmt: skip


LAPTOP, PHONE = {"width": 1366, "height": 768}, {"width": 375, "height": 812}
PREDICTED = """document.querySelector('#value-0').value = '60'; document.querySelector('#value-2').value = '20';
document.querySelector('#run').click()"""
CHECKED = """document.querySelector('#check').click(); document.querySelector('#hint').click()"""
LOOK = """document.querySelector('#look button').click()"""
#: name -> (lab, or 0 for the list, size, light or dark, scripts with what to wait for after each, element at the top)
COURSE_PICTURES = {
    "course-list": (0, LAPTOP, "light", (), ""),
    "course-run": (17, LAPTOP, "light", ((PREDICTED, "#compare table"),), "#predict"),
    "course-look": (17, LAPTOP, "light", ((LOOK, "iframe.stepper"),), "#look"),
    "course-exercise": (17, LAPTOP, "dark", ((CHECKED, "#grade[data-verdict]"),), "#exercise"),
    "course-phone-list": (0, PHONE, "light", (), ""),
    "course-phone-run": (17, PHONE, "light", ((PREDICTED, "#compare table"),), "#compare"),
    "course-phone-exercise": (17, PHONE, "dark", ((CHECKED, "#grade[data-verdict]"),), "#check"),
}  # fmt: skip


def course(browser: Browser, folder: Path, name: str) -> None:
    """Take one picture of the course, by a learner who has done the first labs."""
    lab, size, colours, scripts, top = COURSE_PICTURES[name]
    with tempfile.TemporaryDirectory() as state:
        progress = Path(state) / "pystack" / "labs.json"
        progress.parent.mkdir()
        progress.write_text(
            json.dumps({"1": {"solved": True}, "2": {"solved": True}, "3": {"file": "x"}, "4": {"run": True}})
        )
        command = [sys.executable, "-m", "pystack.cli", "course", "--no-browser"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": state}
        server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            context = browser.new_context(viewport=size, color_scheme=colours)  # type: ignore[arg-type]
            page = context.new_page()
            page.goto(server.stdout.readline().strip() + (f"#lab={lab}" if lab else ""))
            page.wait_for_selector("html[data-ready]")
            for script, found in scripts:
                page.evaluate(f"() => {{ {script} }}")
                page.wait_for_selector(found)
            if scripts and scripts[-1][0] == LOOK:
                page.frame_locator("iframe.stepper").locator(".facts").wait_for()
            page.wait_for_timeout(1500)
            if top:
                page.evaluate("top => document.querySelector(top).scrollIntoView()", top)
                page.wait_for_timeout(200)
            save(Image.open(io.BytesIO(page.screenshot())), folder / f"{name}.png")
            context.close()
        finally:
            server.terminate()
            server.wait()


def picture(browser: Browser, folder: Path, name: str) -> None:
    """Take one picture of the page."""
    scenario, condition, colours, panes, place, script = PICTURES[name]
    command = [sys.executable, "-m", "pystack.cli", "step", scenario, "--web", "--no-browser"]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        address = server.stdout.readline().strip()
        context = browser.new_context(viewport={"width": 1366, "height": 768}, color_scheme=colours)  # type: ignore[arg-type]
        page = context.new_page()
        page.goto(f"{address}#event=0&panes={panes}" + (f"&zoom={place}" if place else ""))
        page.wait_for_selector(".facts")
        breakpoints = [{"text": condition, "watch": False, "enabled": True, "hits": 0}]
        page.evaluate(
            """async breakpoints => { const { store } = stepper; const found = await store.source.run(-1, 1, breakpoints);
               await store.goto(found.position); }""",
            breakpoints,
        )
        page.wait_for_timeout(500)
        if script:
            page.evaluate(f"() => {{ {script} }}")
            if script in (BRANCH, TRY):
                page.wait_for_selector("#open-branch")  # the scenario has run again
            page.wait_for_timeout(700)
        shot = Image.open(io.BytesIO(page.screenshot()))
        context.close()
        save(shot, folder / f"stepper-web-{name}.png")
    finally:
        server.terminate()
        server.wait()


def start_page(browser: Browser, folder: Path) -> None:
    """Take the picture of the start page, in a directory with one recording."""
    with tempfile.TemporaryDirectory() as here:
        (Path(here) / "run.pytrace").write_bytes(scenarios.get("rto").record())
        command = [sys.executable, "-m", "pystack.cli", "step", "--web", "--no-browser"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        server = subprocess.Popen(command, cwd=here, env=environment, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            context = browser.new_context(viewport={"width": 1366, "height": 768})
            page = context.new_page()
            page.goto(server.stdout.readline().strip())
            page.wait_for_selector(".start-files")
            save(Image.open(io.BytesIO(page.screenshot())), folder / "stepper-web-start.png")
            context.close()
        finally:
            server.terminate()
            server.wait()


def save(image: Image.Image, path: Path) -> None:
    """Save with few colours, which are enough and need a third of the bytes."""
    image.convert("RGB").quantize(160, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(
        path, optimize=True
    )


def plots(folder: Path) -> None:
    """Draw one plot of each kind."""
    timeline = scenarios.get("loss-fast-retransmit").timeline()
    for kind in KINDS:
        path = folder / f"plot-{kind}.png"
        draw(timeline, kind, str(path), frames="1-24" if kind == "ladder" else "")
        save(Image.open(path), path)


def main() -> int:
    """Take all pictures and draw the plots."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images"
    pattern = sys.argv[2] if len(sys.argv) > 2 else ""
    wanted = [name for name in PICTURES if re.search(pattern, name)]
    of_course = [name for name in COURSE_PICTURES if re.search(pattern, name)]
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        for name in wanted:
            picture(browser, folder, name)
        for name in of_course:
            course(browser, folder, name)
        if len(wanted) == len(PICTURES) or not (wanted or of_course):
            start_page(browser, folder)
        browser.close()
    if not of_course or wanted:
        plots(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
