"""docs/howto/captures.md: its programs run, its output is the commands', and its table has every finding."""

import re
import shlex
from pathlib import Path

from click.testing import CliRunner

from pystack.cli.main import cli
from pystack.stepper.capture.tcp import FINDINGS
from pystack.stepper.dissect.messages.base import KEPT, MOST_FIELDS
from pystack.stepper.dissect.messages.http1 import Http1
from pystack.stepper.dissect.messages.http2 import Http2
from pystack.stepper.dissect.messages.mongodb import Mongo
from pystack.stepper.dissect.messages.postgres import Postgres
from pystack.stepper.dissect.messages.tls import Tls
from pystack.stepper.dissect.messages.websocket import WebSocket
from pystack.stepper.messages import MOST_FRAMES, MOST_NODES

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "howto" / "captures.md").read_text()


def test_the_programs_run_and_the_output_is_that_of_the_commands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    programs = re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)
    assert len(programs) == 3
    for program in programs:
        exec(program, {})
    blocks = re.findall(r"^```\n\$ pystack (.*?)^```", PAGE, re.M | re.S)
    assert len(blocks) == 5
    for block in blocks:
        command, *lines = block.splitlines()
        result = CliRunner().invoke(cli, shlex.split(command), standalone_mode=False)
        output = result.output.splitlines()
        assert lines and [line for line in lines if line not in output] == [], result.output
    kinds = re.search(r"--kind sequence`, `throughput`, `rtt` .* and `ladder` draw it", PAGE)
    assert kinds


def test_the_table_of_messages_has_every_protocol():
    """The titles of the messages in the table are those of the parsers, and the limits are theirs."""
    part = PAGE.partition("## Messages of programs")[2].partition("## What is read")[0]
    rows = re.findall(r"^\| ([^|]+?) \| .+ \| .+ \|$", part, re.M)[1:]
    for title in (Http2.title, WebSocket.title, Postgres.title, Mongo.title, Tls.title, Http1.title):
        assert any(row.startswith(title) for row in rows), title
    limits = (
        f"{MOST_FRAMES:,} frames",
        f"{MOST_NODES:,} fields",
        f"first {KEPT >> 10} KiB",
        f"at most {MOST_FIELDS} fields",
    )
    assert [text for text in limits if text not in part] == []
    assert Mongo.kept == WebSocket.kept == 1 << 20 and "1 MiB for MongoDB and WebSocket" in part


def test_every_finding_is_in_the_table():
    part = PAGE.partition("<!-- findings -->")[2].partition("<!-- end -->")[0]
    rows = dict(re.findall(r"^\| (.+?) \(`(\w+)`\) \| .+ \|$", part, re.M))
    assert {name: words for words, name in rows.items()} == FINDINGS
