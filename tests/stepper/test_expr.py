"""Expressions: what they can say, what they may not, and how they are told that."""

import pytest

from pystack.stepper import Cursor, scenarios
from pystack.stepper.expr import Expression, ExpressionError, names
from pystack.stepper.scope import Scope


@pytest.fixture(scope="module")
def timeline():
    return scenarios.get("loss-fast-retransmit").timeline()


def hits(timeline, text, direction=1):
    cursor = Cursor(timeline)
    if direction < 0:
        cursor.last()
    cursor.add_break(text)
    found = []
    while (stop := cursor.run(direction)) is not None:
        found.append(stop.entry.index)
    return found


def test_kinds_have_a_full_and_a_short_name(timeline):
    assert (
        hits(timeline, 'event.kind == "retransmit"')
        == hits(timeline, 'kind == "tcp.retransmit"')
        == [entry.index for entry in timeline.events if str(entry.kind) == "tcp.retransmit"]
    )
    assert hits(timeline, 'event.kind in ("retransmit", "tcp.lost")') == [
        entry.index for entry in timeline.events if str(entry.kind) in ("tcp.retransmit", "tcp.lost")
    ]


@pytest.mark.parametrize(
    "text",
    ["tcb.cwnd < 2*tcb.mss", "state == SYN_SENT", 'host == "b" and state == ESTABLISHED', "tcb.timers.retransmission > 0",
     "tcb.in_flight > 10000 and not tcb.nodelay", 'event.fields.length > 1000 and event.kind == "out"', "frame.number == 8",
     "time > 0.1 and time < 0.11", "tcb.rto < 250*ms", '"RACK" in event.reason', "b.ooo > 0", 'frame.fate == "lost"'],
)  # fmt: skip
def test_it_stops_where_a_plain_search_finds_it(timeline, text):
    """Against the same condition, evaluated event by event with plain Python over timeline.tcb."""
    compiled = Expression(text, timeline.hosts)
    wanted = []
    before = False
    for index in range(len(timeline.events)):
        value = bool(compiled.value(Scope(timeline, index)))
        if value and (compiled.momentary or not before):
            wanted.append(index)
        before = value
    assert hits(timeline, text) == wanted
    if text not in ("tcb.cwnd < 2*tcb.mss", 'host == "b" and state == ESTABLISHED'):
        assert wanted


def test_state_expressions_against_the_states_themselves(timeline):
    events = [
        entry.index
        for entry in timeline.events
        if entry.conn and (timeline.tcb(entry.index, entry.conn) or {}).get("dupacks", 0) >= 3 and entry.host == "a"
    ]
    assert hits(timeline, 'host == "a" and tcb.dupacks >= 3') == events


def test_backwards_stops_at_the_same_events(timeline):
    text = 'event.kind == "retransmit" or event.kind == "state"'
    assert hits(timeline, text, -1) == hits(timeline, text)[::-1]


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ('event.kind == "retransmit"', ["retransmit"]),
        ('kind in ("a", "b") and tcb.cwnd > 1', ["a", "b"]),
        ('tcb.cwnd > 1 and event.kind == "tcp.out"', ["tcp.out"]),
        ('kind == "a" or event.kind == "b"', ["a", "b"]),
        ('kind == "a" or tcb.cwnd > 1', None),
        ('not kind == "a"', None),
        ('kind != "a"', None),
        ("tcb.cwnd > 1", None),
        ('event.fields.kind == "a"', None),
        ("kind == host", None),
    ],
)
def test_what_kinds_an_expression_demands(timeline, text, kinds):
    assert Expression(text, timeline.hosts).kinds == kinds


def test_skipping_by_kind_changes_nothing(timeline, monkeypatch):
    texts = [
        'event.kind == "retransmit"',
        'kind in ("tcp.lost", "cwnd") and host == "a"',
        'kind == "out" or kind == "state"',
    ]
    quick = [hits(timeline, text) for text in texts]
    monkeypatch.setattr(Expression, "possible", lambda self, kind: True)
    assert quick == [hits(timeline, text) for text in texts] and all(quick)


def test_watchpoints(timeline):
    cursor = Cursor(timeline)
    cursor.watch("a.total_retrans")
    stop = cursor.run()
    assert str(stop) == "a.total_retrans: 0 -> 1"
    assert cursor.run() is None
    cursor = Cursor(timeline)
    cursor.watch("a.cwnd")
    changes = []
    while (stop := cursor.run()) is not None:
        changes.append(stop.values["a.cwnd"])
    assert len(changes) > 10 and all(old != new for old, new in changes)
    assert all(one[1] == two[0] for one, two in zip(changes, changes[1:]))


def test_disabled_breakpoints_do_not_stop(timeline):
    cursor = Cursor(timeline)
    point = cursor.add_break('event.kind == "retransmit"')
    point.enabled = False
    assert cursor.run() is None and point.hits == 0


@pytest.mark.parametrize(
    ("text", "says", "column"),
    [
        ("tcb.cwind > 1", "a connection has no field 'cwind'; did you mean cwnd", 0),
        ("1 + cwnd", "no name 'cwnd'; the field is called tcb.cwnd", 4),
        ("state == established", "the state is called ESTABLISHED", 9),
        ("state == FOO", "no name 'FOO'; there are event, tcb", 9),
        ("event.knid == 1", "an event has no 'knid'; did you mean kind", 0),
        ("tcb.cwnd <", "not an expression", 10),
        ("", "not an expression", 0),
        ("import os", "not an expression", 0),
        ("__import__('os')", "only len, min", 0),
        ("event.__class__", "begins with an underscore", 0),
        ("tcb._x", "begins with an underscore", 0),
        ("event.kind.upper()", "only len, min", 0),
        ("event.kind.upper", "may be followed by a dot", 0),
        ("().__class__.__bases__", "underscore", 0),
        ("[x for x in (1,)]", "ListComp is not allowed", 0),
        ("(lambda: 1)()", "only len", 0),
        ("2**100", "Pow is not allowed", 0),
        ("1 << 100", "LShift is not allowed", 0),
        ("f'{event}'", "JoinedStr is not allowed", 0),
        ("(x := 1)", "NamedExpr is not allowed", 1),
        ("'a' 'b'[0:1]", "a slice", 0),
        ("open('/etc/passwd')", "only len", 0),
        ("1" * 400, "not an expression|too large", 0),
        ("1+" * 600 + "1", "longer than", 0),
        ("((((" * 100 + "1" + "))))" * 100, "not an expression|nested", 0),
    ],
)
def test_what_is_wrong_is_told_in_one_line_with_its_place(timeline, text, says, column):
    with pytest.raises(ExpressionError, match=says) as caught:
        Expression(text, timeline.hosts)
    assert "\n" not in str(caught.value)
    assert caught.value.caret().splitlines()[1].index("^") == caught.value.column
    assert caught.value.column == column or len(text) > 100


@pytest.mark.parametrize(
    "text", ["event.kind * 1000000", "'x' + 'y'", "1 / 0", "event.fields.nothing > 1", "len(3)",
             "event.fields.length < 'x'", "min()", "tcb.cwnd[0]"],
)  # fmt: skip
def test_what_has_no_value_is_no_hit(timeline, text):
    assert hits(timeline, text) == []


def test_all_names_that_are_offered_can_be_used(timeline):
    offered = names(timeline.hosts)
    for field in offered["tcb"]:
        Expression(f"tcb.{field} == 1", timeline.hosts)
    for field in offered["event"]:
        Expression(f"event.{field} == 1", timeline.hosts)
    for field in offered["frame"]:
        Expression(f"frame.{field} == 1", timeline.hosts)
    for name in (*offered["states"], *offered["units"], *offered["names"]):
        Expression(f"{name} == 1", timeline.hosts)


def test_evaluate_at_the_cursor(timeline):
    cursor = Cursor(timeline)
    cursor.goto(frame=8)
    assert cursor.evaluate("tcb.mss") == 1448
    assert cursor.evaluate("frame.number") == 8
    assert cursor.evaluate("a.cwnd") == cursor.state()[cursor.conn]["cwnd"]


@pytest.mark.parametrize("text", ['int("x") > 0', "1 // 0", "min(()) == 0"])
def test_what_fails_at_every_event_is_told_and_stops_nothing(timeline, text):
    cursor = Cursor(timeline)
    point = cursor.add_break(text)
    assert cursor.run() is None
    assert point.error and "\n" not in point.error
