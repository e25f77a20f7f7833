"""The messages of programs on the page, in Chromium: beside the arrow, in the tree of fields, and in the conversation."""

import pytest

from pystack.stepper import messages
from pystack.stepper.export import export
from tests.stepper.dissect import wires
from tests.stepper.web.page import Page

GET = "HTTP/2 HEADERS, stream 1: GET /orders"


def test_a_frame_of_http2_is_readable(browser, tmp_path):
    pytest.importorskip("h2")
    timeline = wires.timeline(wires.h2(), 80)
    path = tmp_path / "h2.html"
    export(timeline, str(path))
    frame = next(frame for frame in timeline.frames if GET in messages.beside_lines(frame))
    with Page(browser, path.as_uri() + f"#event={frame.event}&panes=ladder") as page:
        page.until(
            "part => [...document.querySelectorAll('svg text')].some(text => text.textContent.includes(part))",
            "HTTP/2 SETTINGS",
        )
    with Page(browser, path.as_uri() + f"#event={frame.event}&panes=frame") as page:
        page.page.click('.node.depth-0[data-abbrev="http2"] .twist >> nth=0')
        page.page.click('.node[data-abbrev="http2.streamid"] >> nth=0')
        marked = page.page.eval_on_selector_all(".byte.marked", "cells => cells.map(cell => cell.textContent)")
        node = messages.tree(frame).find("http2.streamid")
        assert bytes.fromhex("".join(marked)) == frame.data[node.offset : node.end]
    with Page(browser, path.as_uri() + "#layout=expert&panes=streams") as page:
        page.page.click("[data-talk='0'] button")
        page.until("part => document.querySelector('#stream').textContent.includes(part)", GET)
        assert page.complaints == []
