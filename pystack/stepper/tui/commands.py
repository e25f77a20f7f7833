"""The command line of the terminal stepper. The expressions are those of every view (see stepper/expr.py)."""

import re
from collections.abc import Callable

from pystack.stepper.changed import last_change
from pystack.stepper.changes import FORMS
from pystack.stepper.cursor import Breakpoint
from pystack.stepper.expr import ExpressionError
from pystack.stepper.search import search
from pystack.stepper.timing.path import PathError
from pystack.stepper.tui import spans
from pystack.stepper.tui.session import TerminalSession

#: the views to choose from if not everything fits on the screen
VIEWS = ("ladder", "frame", "events", "compare", "time")
#: name -> (arguments, effect)
COMMANDS = {
    "break": ("EXPR", "stop when this becomes true"),
    "watch": ("EXPR", "stop when its value changes"),
    "run": ("", "run to the next stop"),
    "back": ("", "run backwards to the previous stop"),
    "until": ("EXPR", "run until this is true, once"),
    "answer": ("", "go to the event that answers the question"),
    "step": ("[UNIT] [N]", "N events, frames, layers or rtts; N < 0 goes back"),
    "goto": ("frame | event | time N", "go there; a time is in seconds"),
    "print": ("EXPR", "show its value here"),
    "list": ("", "list the breakpoints"),
    "delete": ("[N]", "delete a breakpoint, or all"),
    "enable": ("N", "enable a breakpoint again"),
    "disable": ("N", "disable a breakpoint"),
    "first": ("", "go before the first event"),
    "last": ("", "go to the last event"),
    "connection": ("[TEXT]", "show this one; without TEXT the cursor's"),
    "changed": ("FIELD", "go to the last change of a field, such as cwnd"),
    "find": ("WORDS", "go to the next place that has these words"),
    "field": ("NAME", "choose a field, such as tcp.ack"),
    "whatif": ("CHANGE ...", "run the scenario again with a change"),
    "try": ("[N]", "run with the N-th change to try, or list them"),
    "swap": ("", "switch to the other run, and back"),
    "time": ("[CONN] [from P] [to P]", "where the time of a request went"),
    "span": ("N | +N | -N | largest", "go to a span of it"),
    "view": ("NAME", f"what to show: {', '.join(VIEWS)}"),
    "scale": ("", "the ladder to scale, or a line for each frame"),
    "help": ("", "show all keys and commands"),
    "quit": ("", "quit"),
}
#: seconds that `find` searches before it stops at a place from which it goes on
FIND = 3.0
UNITS = {"e": "event", "f": "frame", "l": "layer", "r": "rtt"}


class Wrong(ValueError):
    """A command that is wrong. The message is one line."""


class Commands:
    """Carries out command lines. `act` is called with (name, argument) for view, help and quit, which concern the
    screen.
    """

    def __init__(self, session: TerminalSession, act: Callable[[str, str], None] = lambda name, argument: None):
        self.session = session
        self.act = act

    def execute(self, line: str) -> bool:
        """Carry out a line. The result, or the error, becomes the session's message. Return False after an error."""
        line = line.strip()
        if not line:
            return True
        name, _, rest = line.partition(" ")
        here = self.session.cursor.position
        try:
            self.session.say("")
            method = getattr(self, "_" + self.name(name))
            text = method(rest.strip())
            if method != self._step:
                self.session.moved(here, stepped=False)
        except ExpressionError as error:
            self.session.fail(f"{error.what} (at column {error.column + 1})")
            return False
        except (ValueError, KeyError, LookupError, TypeError, ArithmeticError, OSError) as error:
            self.session.fail(str(error.args[0]) if error.args else type(error).__name__)
            return False
        if text:
            self.session.say(text)
        return True

    @staticmethod
    def name(text: str) -> str:
        """Return the full name of an abbreviated command."""
        found = [name for name in COMMANDS if name.startswith(text.lower())]
        if text.lower() in COMMANDS:
            return text.lower()
        if text.lower() in _SHORT:
            return _SHORT[text.lower()]
        if len(found) == 1:
            return found[0]
        if found:
            raise Wrong(f"{text}: could be {', '.join(found)}")
        raise Wrong(f"no command {text!r}; there are {', '.join(COMMANDS)}")

    # -- breakpoints -------------------------------------------------------------------------------------------------

    def _break(self, text: str) -> str:
        one = self.session.cursor.add_break(_needed(text, "break tcb.cwnd < 2*tcb.mss"))
        return f"breakpoint {self._number(one)}: {one.expression}   (r runs to it)"

    def _watch(self, text: str) -> str:
        one = self.session.cursor.watch(_needed(text, "watch tcb.cwnd"))
        return f"watchpoint {self._number(one)}: {one.expression}   (r runs to it)"

    def _number(self, one: Breakpoint) -> int:
        return self.session.cursor.breakpoints.index(one) + 1

    def _list(self, text: str) -> str:
        points = self.session.cursor.breakpoints
        parts = [
            f"{n} {'watch' if one.watch else 'break'} {one.expression} ({one.hits} hits{'' if one.enabled else ', off'})"
            for n, one in enumerate(points, 1)
        ]
        return "; ".join(parts) or "no breakpoints: break EXPR makes one"

    def _chosen(self, text: str) -> Breakpoint:
        points = self.session.cursor.breakpoints
        if not text.isdigit() or not 1 <= int(text) <= len(points):
            raise Wrong(f"there is no breakpoint {text!r}; there are {len(points)}")
        return points[int(text) - 1]

    def _delete(self, text: str) -> str:
        if not text:
            self.session.cursor.breakpoints.clear()
            return "all breakpoints are deleted"
        one = self._chosen(text)
        self.session.cursor.breakpoints.remove(one)
        return f"deleted: {one.expression}"

    def _enable(self, text: str) -> str:
        self._chosen(text).enabled = True
        return f"breakpoint {text} is enabled"

    def _disable(self, text: str) -> str:
        self._chosen(text).enabled = False
        return f"breakpoint {text} is disabled"

    # -- moving ------------------------------------------------------------------------------------------------------

    def _run(self, text: str) -> str:
        return self.run(1)

    def _back(self, text: str) -> str:
        return self.run(-1)

    def run(self, direction: int) -> str:
        """Go to the next hit, or to the end."""
        cursor = self.session.cursor
        end = "the end" if direction > 0 else "the beginning"
        if not any(one.enabled for one in cursor.breakpoints):
            stop = cursor.run(direction)
            return f"no breakpoints: went to {end} (b sets one)"
        stop = cursor.run(direction)
        if stop is None:
            broken = [f"{one.expression}: {one.error}" for one in cursor.breakpoints if one.error and not one.hits]
            return f"{end}: nothing hit" + (f"; {broken[0]}" if broken else "")
        return f"stopped at event {cursor.position}: {stop}"

    def _until(self, text: str) -> str:
        cursor = self.session.cursor
        kept = cursor.breakpoints
        cursor.breakpoints = []
        here = cursor.position
        try:
            cursor.add_break(_needed(text, 'until event.kind == "retransmit"'))
            stop = cursor.run()
        finally:
            cursor.breakpoints = kept
        if stop is None:
            cursor.position = here
            raise Wrong(f"this is never true from here on: {text}")
        return f"event {cursor.position}: {stop}"

    def _step(self, text: str) -> str:
        words = text.split()
        unit, count = "event", 1
        for word in words:
            if re.fullmatch(r"[+-]?\d{1,9}", word):
                count = int(word)
            else:
                chosen = [one for one in UNITS.values() if one.startswith(word.lower().rstrip("s"))]
                if not chosen:
                    raise Wrong(f"a step is one of {', '.join(UNITS.values())}, not {word!r}")
                unit = chosen[0]
        return self.step(unit, count)

    def step(self, unit: str, count: int) -> str:
        """Move. The message is empty unless there was nothing further."""
        limit = len(self.session.timeline.events)
        here = self.session.cursor.position
        reached = self.session.cursor.step(unit, max(-limit, min(count, limit)))
        self.session.moved(here, stepped=True)
        if reached is None:
            return "the end" if count > 0 else "the beginning"
        return ""

    def _answer(self, text: str) -> str:
        session = self.session
        if session.scenario is None:
            raise Wrong("only a scenario asks a question, and this is a recording")
        found = session.scenario.answers(session.timeline)
        if not found:
            raise Wrong("no event in this run answers the question")
        cursor = session.cursor
        cursor.goto(event=next((index for index in found if index > cursor.position), found[0]))
        more = f"   (a: the other {len(found) - 1})" if len(found) > 1 else ""
        return f"{session.scenario.question}{more}"

    def _goto(self, text: str) -> str:
        match = re.fullmatch(r"(frame|event|time|f|e|t)?\s*(?:=\s*)?([\d.]{1,20})\s*(ns|us|ms|s)?", text)
        if match is None:
            raise Wrong("goto needs a place: frame 12, event 100, or time 0.0405 (in seconds)")
        what, number, unit = match.groups()
        what = {"f": "frame", "e": "event", "t": "time", None: "time" if unit else "frame"}.get(what, what)
        try:
            amount = float(number)
            place = int(number) if what != "time" else 0
        except ValueError:
            raise Wrong(f"{number!r} is not a number") from None
        cursor = self.session.cursor
        if what == "frame":
            cursor.goto(frame=place)
        elif what == "event":
            cursor.goto(event=place)
        else:
            scale = {"ns": 1, "us": 1_000, "s": 1_000_000_000}.get(unit or "s", 1_000_000)
            cursor.goto(time=self.session.timeline.start + round(amount * scale))
        return ""

    def _first(self, text: str) -> str:
        self.session.cursor.first()
        return ""

    def _last(self, text: str) -> str:
        self.session.cursor.last()
        return ""

    # -- looking -----------------------------------------------------------------------------------------------------

    def _print(self, text: str) -> str:
        return f"{text} = {self.session.cursor.evaluate(_needed(text, 'print tcb.cwnd'))}"

    def _connection(self, text: str) -> str:
        session = self.session
        if not text:
            session.pinned = ""
            return "shows the connection at the cursor"
        found = [name for name in session.timeline.connections if text in name]
        if not found:
            raise Wrong(f"no connection with {text!r} in its name; there are {', '.join(session.timeline.connections)}")
        session.pinned = found[0]
        return f"shows {found[0]}"

    def _field(self, text: str) -> str:
        tree = self.session.tree
        name = _needed(text, "field tcp.flags.syn")
        if tree is None or tree.find(name) is None:
            raise Wrong(f"this frame has no field {name!r}")
        self.session.field = (name, 0)
        return ""

    def _changed(self, text: str) -> str:
        session = self.session
        name = _needed(text, "changed cwnd")
        if not session.conn:
            raise Wrong("no connection is shown here")
        found = last_change(session.timeline, session.cursor.position, session.conn, name)
        if found < 0:
            raise Wrong(f"{name} of {session.conn} did not change before")
        session.cursor.goto(event=found)
        return f"the last change of {name}"

    def _find(self, text: str) -> str:
        session = self.session
        words = _needed(text, "find fast retransmit")
        hits, following = search(session.timeline, words, session.cursor.position + 1, 1, FIND)
        if hits:
            session.cursor.goto(event=hits[0].event)
            return f"{hits[0].where}: {hits[0].text}"
        if following >= 0:
            session.cursor.goto(event=following)
            raise Wrong(f"not in the events up to {following}; find goes on from there")
        raise Wrong(f"there is no {words!r} after this place")

    def _view(self, text: str) -> str:
        chosen = [name for name in VIEWS if text and name.startswith(text)]
        if not chosen:
            raise Wrong(f"a view is one of {', '.join(VIEWS)}, not {text!r}")
        if chosen[0] == "compare" and self.session.other is None:
            raise Wrong("there is no other run to compare with; whatif drop=5, for example, makes one")
        self.act("view", chosen[0])
        return ""

    def _scale(self, text: str) -> str:
        session = self.session
        session.to_scale = not session.to_scale
        if session.to_scale and not session.unit:
            session.to_scale = False
            raise Wrong("all frames left at the same time, so there is nothing to scale")
        self.act("view", "ladder")
        return (
            "rows are as far apart as their times; those of one moment have a line each"
            if session.to_scale
            else "a line for each frame"
        )

    def _whatif(self, text: str) -> str:
        if not text:
            raise Wrong(f"whatif needs one or more of {', '.join(FORMS)}")
        self.session.what_if(text.split())
        self.act("view", "compare")
        return "x switches to the other run; 1, 2, 3 then show it"

    def _time(self, text: str) -> str:
        before, self.session.request = self.session.request, spans.request_of(text)
        try:
            path = self.session.path()
        except PathError:
            self.session.request = before
            raise
        self.act("view", "time")
        return f"{path.conn or 'the request'}: {len(path.spans)} spans"

    def _span(self, text: str) -> str:
        return spans.go_to_span(self.session, text)

    def _try(self, text: str) -> str:
        tries = self.session.scenario.tries if self.session.scenario is not None else ()
        if not tries:
            raise Wrong("there is nothing to try here; whatif CHANGE makes a change of your own")
        if not text:
            return "; ".join(f"{n} what if {one.text}? ({one.changes})" for n, one in enumerate(tries, 1))
        if not text.isdigit() or not 1 <= int(text) <= len(tries):
            raise Wrong(f"there is no change {text!r} to try; there are {len(tries)}")
        self.session.what_if(tries[int(text) - 1].changes.split(), from_the_beginning=True)
        self.act("view", "compare")
        return "x switches to the other run; 1, 2, 3 then show it"

    def _swap(self, text: str) -> str:
        if not self.session.swap():
            raise Wrong("there is no other run; whatif CHANGE makes one")
        return f"this is {self.session.timeline.name}"

    def _help(self, text: str) -> str:
        self.act("help", "")
        return ""

    def _quit(self, text: str) -> str:
        self.act("quit", "")
        return ""


_SHORT = {"b": "break", "w": "watch", "r": "run", "c": "run", "continue": "run", "s": "step", "g": "goto", "p": "print",
          "d": "delete", "q": "quit", "h": "help", "?": "help", "exit": "quit", "breaks": "list", "x": "swap"}  # fmt: skip


def _needed(text: str, example: str) -> str:
    if not text:
        raise Wrong(f"an argument is missing, for example: {example}")
    return text
