"""The corpus of the coverage-guided fuzzer, run on this build: no exception, and no hang.

make fuzz-coverage adds to it (tools/fuzz_coverage.py --minimise).
"""

from pathlib import Path

import pytest

from tests.support import meter
from tests.support.targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"


@pytest.mark.parametrize("name", TARGETS)
def test_the_corpus(name):
    files = sorted((CORPUS / name).iterdir())
    assert files, name
    for path in files:
        try:
            with meter.Watchdog(60):
                TARGETS[name].run(path.read_bytes())
        except (Exception, meter.Endless) as error:
            raise AssertionError(f"tools/fuzz_coverage.py --target {name} --replay {path}") from error


def test_every_target_has_its_corpus_and_it_is_small():
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)
    files = [path for path in CORPUS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 300_000
    assert len(files) <= 60 * len(TARGETS)


def test_a_target_sees_what_is_wrong(monkeypatch):
    """Control: an invariant that does not hold comes out."""
    from tests.support import invariants

    def broken(stack):
        raise AssertionError("broken")

    monkeypatch.setattr(invariants, "check", broken)
    with pytest.raises(AssertionError, match="broken"):
        TARGETS["frame"].run(b"\0" * 60)
