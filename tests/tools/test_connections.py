"""tools/bench/connections.py counts what a connection of an asyncio server costs."""

import re

import pytest

from tests.kernel.conftest import _reason
from tools.bench import connections


@pytest.mark.kernel
@pytest.mark.skipif(bool(_reason), reason=_reason)
def test_connections_echo_and_are_counted(capsys):
    assert connections.main(["--count", "60", "--rounds", "2", "--limit", "60"]) == 0
    output = capsys.readouterr().out
    assert "60 connections were open at once" in output
    assert float(re.search(r"([\d.]+) KiB a connection", output)[1]) > 0
    assert len(re.search(r"an echo on all of them: (.*)", output)[1].split(",")) == 2


def test_the_limit_of_descriptors_is_never_lowered(monkeypatch):
    seen = []
    monkeypatch.setattr(connections.resource, "getrlimit", lambda which: (5_000, 20_000))
    monkeypatch.setattr(connections.resource, "setrlimit", lambda which, both: seen.append(both))
    for count in (100, 10_000, 100_000):
        connections.allow_descriptors(count)
    assert seen == [(5_000, 20_000), (10_200, 20_000), (20_000, 20_000)]
