"""How pytest runs a test in virtual time: once if it passes; if it fails, again and again while the run becomes smaller."""

import contextlib
import gc
import os
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from _pytest.runner import call_and_report

from pystack.pytest_plugin import files, report
from pystack.pytest_plugin.failure import is_simulators, kind_of
from pystack.pytest_plugin.items import settings_of
from pystack.pytest_plugin.plan import Plan
from pystack.pytest_plugin.running import LAST, MOST_STEPS, PLAN, RECORD
from pystack.pytest_plugin.shrink import MOST_SECONDS, Outcome, Shrinker

_OUTCOME = pytest.StashKey[Outcome]()
#: a run of a smaller plan may take this many times as many steps as the failing run, and so many more
STEPS_FACTOR, STEPS_MORE = 10, 100_000


def run(item: Any, nextitem: Any, replay: "tuple[str, Plan] | None") -> bool:
    """pytest_runtest_protocol of a test in virtual time."""
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    interrupt: BaseException | None = None
    replayed = replay is not None and replay[0] == report.plain_nodeid(item.nodeid)
    if replay is not None and replayed:
        item.stash[PLAN] = replay[1]
    if item.config.getoption("pystack_record"):
        item.stash[RECORD] = _stem(item) + ".pytrace"
        os.makedirs(os.path.dirname(item.stash[RECORD]), exist_ok=True)
    try:
        reports, outcome = _run(item, nextitem)
        if outcome is not None:
            text = ""
            if replayed:
                text = report.of_replay(item.config, outcome)
            elif outcome.plan is not None:
                reports, text, interrupt = _explain(item, nextitem, reports, outcome)
            failed = [each for each in reports if each.failed]
            if failed and text:
                failed[0].sections.append(("pystack", text))
            reports += _rest(item, nextitem)
    finally:
        for key in (PLAN, RECORD, MOST_STEPS, LAST, _OUTCOME):
            _drop(item, key)
    for each in reports:
        item.ihook.pytest_runtest_logreport(report=each)
    if interrupt is not None:
        raise interrupt
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def _drop(item: Any, key: Any) -> None:
    if key in item.stash:
        del item.stash[key]


def _stem(item: Any) -> str:
    return os.path.join(files.directory(item.config), files.stem(item.nodeid))


def _rest(item: Any, nextitem: Any) -> list[Any]:
    """Tear down what the next test does not need, if no run of the test has done it. Returns the report if that fails."""
    if item.session.shouldfail or item.session.shouldstop:
        nextitem = None
    call = pytest.CallInfo.from_call(lambda: item.session._setupstate.teardown_exact(nextitem), "teardown")
    if call.excinfo is None:
        return []
    return [item.ihook.pytest_runtest_makereport(item=item, call=call)]


# -- runs --------------------------------------------------------------------------------------------------------------


def _run(item: Any, nextitem: Any, last: bool = False) -> "tuple[list[Any], Outcome | None]":
    """Run the test, as pytest does, and keep the reports.

    If it fails and this is not the `last` run, only what belongs to the test itself is torn down.
    """
    _renew(item)
    reports = [call_and_report(item, "setup", log=False)]
    try:
        if reports[0].passed:
            reports.append(call_and_report(item, "call", log=False))
        if _OUTCOME in item.stash and not last:
            nextitem = item.parent
        elif item.session.shouldfail or item.session.shouldstop:
            nextitem = None
        reports.append(call_and_report(item, "teardown", log=False, nextitem=nextitem))
    finally:
        _forget(item)
    return reports, item.stash.get(_OUTCOME, None)


def _attempt(item: Any, plan: Plan, work: int) -> Outcome:
    """Run the test by a plan, with no report."""
    item.stash[PLAN] = plan
    item.stash[MOST_STEPS] = work * STEPS_FACTOR + STEPS_MORE
    for key in (_OUTCOME, LAST):
        _drop(item, key)
    hook = item.ihook
    with _quiet():
        _renew(item)
        try:
            if _phase(item, "setup", lambda: hook.pytest_runtest_setup(item=item)):
                _phase(item, "call", lambda: hook.pytest_runtest_call(item=item))
            _phase(item, "teardown", lambda: hook.pytest_runtest_teardown(item=item, nextitem=item.parent))
        finally:
            _forget(item)
    return item.stash.get(_OUTCOME, None) or Outcome()


def _phase(item: Any, when: Any, function: Any) -> bool:
    """Run a phase of a test. Returns False if it has failed, or was skipped."""
    call = pytest.CallInfo.from_call(function, when, reraise=(pytest.exit.Exception, KeyboardInterrupt))
    if call.excinfo is not None and not isinstance(call.excinfo.value, pytest.skip.Exception):
        note_failure(item, call)
    return call.excinfo is None


def _renew(item: Any) -> None:
    """Let the test begin anew: with an instance of its class, fixtures and output of its own."""
    if not item._request:
        item._initrequest()
        if isinstance(item.parent, pytest.Class):
            for name in ("_instance", "_obj"):
                vars(item).pop(name, None)
    getattr(item, "_report_sections", []).clear()


def _forget(item: Any) -> None:
    item._request = False
    item.funcargs = None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the warnings of repeated runs to ourselves, because the first run has given them. What a run leaves open is collected here."""
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("ignore", ResourceWarning)
        yield
        gc.collect()


def note_failure(item: Any, call: Any) -> None:
    """Keep how a test has failed first: the kind, and what happened in its network until then."""
    if _OUTCOME in item.stash:
        return
    world = item.stash.get(LAST, None)
    error = call.excinfo.value
    outcome = item.stash[_OUTCOME] = Outcome(kind_of(call.when, error, settings_of(item).host))
    outcome.timed_out = isinstance(error, pytest.fail.Exception) and str(error).startswith("Timeout ")
    if world is None:
        return
    net = world.net
    outcome.plan = world.plan
    outcome.made = tuple(net.decisions.made)
    outcome.faults = tuple(made.fault for made in outcome.made)
    outcome.steps = world.steps
    outcome.ended_at = net.now
    outcome.overflow = net.decisions.overflow
    outcome.work = net.steps
    outcome.at_limit = is_simulators(error) and net.next_time() is not None
    for link in net.links.values():
        outcome.ways[link.ab.name] = (link.a.node, link.b.node, link.a.kind)
        outcome.ways[link.ba.name] = (link.b.node, link.a.node, link.b.kind)
    outcome.names = {address: host.name for host in net.hosts.values() for address in host.addresses()}


# -- the report --------------------------------------------------------------------------------------------------------


def _explain(
    item: Any, nextitem: Any, reports: list[Any], first: Outcome
) -> "tuple[list[Any], str, BaseException | None]":
    """Shrink a failing run, record it, and say how to replay it. Returns the reports of the smallest run, and the text."""
    assert first.plan is not None
    config, hosts = item.config, settings_of(item).hosts
    runs = 0 if config.getoption("usepdb", False) else config.getoption("pystack_shrink")
    shrinker = Shrinker(lambda plan: _attempt(item, plan, first.work), first.plan, first, runs)
    lines = report.Lines(config, item.nodeid, hosts)
    took = sum(each.duration for each in reports)
    if first.timed_out or took > MOST_SECONDS:
        return (
            reports,
            lines.by_seed(first, f"the run was not repeated, because it took {took:.1f} s of real time"),
            None,
        )
    try:
        same = shrinker.run(hosts)
    except (KeyboardInterrupt, pytest.exit.Exception) as error:
        return reports, lines.by_seed(first, "shrinking was interrupted"), error
    if not same:
        return reports, lines.by_seed(first, report.NOT_AGAIN), None
    if config.getoption("usepdb", False):
        return reports, lines.by_seed(first, ""), None
    stem = _stem(item)
    try:
        os.makedirs(os.path.dirname(stem), exist_ok=True)
        files.write_plan(stem + ".json", shrinker.best, report.plain_nodeid(item.nodeid))
    except OSError as error:
        return reports, lines.by_seed(first, f"there are no files: {stem}.json: {error.strerror}"), None
    item.stash[PLAN] = shrinker.best
    item.stash[RECORD] = stem + ".pytrace"
    for key in (MOST_STEPS, _OUTCOME, LAST):
        _drop(item, key)
    with _quiet():
        again, last = _run(item, nextitem, last=True)
    if last is None or last.kind != first.kind:
        return reports, lines.by_seed(first, report.NOT_AGAIN), None
    return again, lines.of(first, shrinker, last, stem), None
