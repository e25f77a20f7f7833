"""The terminal stepper's screen: panes around one session, keys, and a command line."""

import threading
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from rich.text import Text
from textual import events
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from pystack.stepper.beginning import StoppedError
from pystack.stepper.changes import FORMS
from pystack.stepper.dissect import Node
from pystack.stepper.timeline import Progress, Timeline
from pystack.stepper.tui import words
from pystack.stepper.tui.commands import COMMANDS, VIEWS, Commands
from pystack.stepper.tui.details import ConnectionPane, Hex, Reason, Timers
from pystack.stepper.tui.fields import Fields
from pystack.stepper.tui.panes import Compare, Events, LadderPane, Pane
from pystack.stepper.tui.session import TerminalSession
from pystack.stepper.tui.waterfall import Waterfall
from pystack.trace.errors import TraceError
from pystack.visible import pictures

#: reads a whole recording; it calls the function that it gets with its progress
Rest = Callable[[Progress], Timeline]

#: from this size on, everything is on one screen
WIDE, TALL = 120, 32
#: the pane that has the focus first
FIRST = {"ladder": "#ladder", "frame": "#fields", "events": "#events", "compare": "#compare", "time": "#time"}
#: key and its effect: the first half of the help page
KEYS = (
    ("n p", "next, previous event (also right, left)"),
    ("f F", "next, previous frame (in the ladder also down, up)"),
    ("l L", "next, previous layer or host (also ] [)"),
    ("t T", "one round trip forwards, backwards (also } {)"),
    ("a", "go to the event that answers the question"),
    ("r R", "run to the next, previous breakpoint"),
    ("Home End", "go before the first event, the last event"),
    ("b w", "break or watch: type an expression"),
    ("g", "go to a frame, an event or a time"),
    (":", "a command (below); Esc leaves the line, up recalls older commands"),
    ("1 2 3 4", "ladder and connection; frame and bytes; events and timers; both runs"),
    ("5 s", "the spans of a request: where its time went"),
    ("x", "switch to the other run after `whatif`, and back"),
    ("Tab", "go to the next pane; the arrows scroll it"),
    ("y", "show the whole explanation if it is long, and back"),
    ("z", "show this pane alone, and back"),
    ("c", "the next connection; after the last, the one at the cursor"),
    ("m", "the ladder to scale, or a line for each frame"),
    ("d", "dark or light colours"),
    ("? q", "this page; quit"),
)
#: the same in one line of 80 characters
FOOTER = "  ".join(
    f"[b]{key}[/] {what}" if what else f"[b]{key}[/]"
    for key, what in (
        ("n/p", "event"), ("f/F", "frame"), ("t/T", "rtt"), ("r/R", "run"), ("b", "break"), ("g", "goto"), (":", "cmd"),
        ("1-5", "view"), ("?", "help"),
    )
)  # fmt: skip
EXAMPLES = (
    'break event.kind == "retransmit"      break tcb.cwnd < 2*tcb.mss',
    "break state == TIME_WAIT              watch tcb.ssthresh",
    "print tcb.srtt / ms                   step rtt -1",
    "goto frame 12     goto event 100      goto time 40.5     goto 1.2s",
    "whatif nodelay=a                      whatif deliver=8 congestion=a:cubic",
)

CSS = """
Screen { layout: vertical; }
#top { height: 1; background: $primary; color: $text; text-style: bold; }
#body { height: 1fr; }
Pane, Fields { height: 1fr; border-title-color: $text; border-title-style: bold; border-subtitle-color: $text-muted; border-top: solid $secondary; padding: 0 0 0 1; scrollbar-size-vertical: 1; }
Pane:focus, Fields:focus { border-top: heavy $accent; }
#left { width: 1fr; }
#middle { width: 1fr; display: none; }
#right { width: 31; border-left: solid $secondary; }
#fields { background: $background; scrollbar-size-horizontal: 0; }
#hex { height: 6; }
#events, #timers, #compare, #time { display: none; }
#why { height: 8; }
#line { height: auto; max-height: 2; min-height: 1; }
#message { height: auto; max-height: 2; padding: 0 1; }
#message.failed { background: $error; color: $text; text-style: bold; }
#prompt { width: 2; text-style: bold; }
#command { height: 1; border: none; padding: 0; width: 1fr; }
#why.-maximized { height: 1fr; width: 1fr; }
#keys { height: 1; background: $panel; color: $text; }

.view-frame #left, .view-frame #right { display: none; }
.view-frame #middle { display: block; }
.view-events #ladder, .view-events #tcb { display: none; }
.view-events #events, .view-events #timers { display: block; }

.view-events #body { layout: vertical; }
.view-events #left { width: 100%; }
.view-events #right { width: 100%; height: 5; border-left: none; }
.no-tcb.view-ladder #right { display: none; }

.wide #body { layout: horizontal; }
.wide #left, .wide #middle, .wide #right, .no-tcb.wide #right { display: block; }
.wide #ladder, .wide #tcb, .wide #events, .wide #timers { display: block; }
.wide #left { width: 5fr; }
.wide #middle { width: 4fr; border-left: solid $secondary; }
.wide #right { width: 40; height: 1fr; border-left: solid $secondary; }
.wide #events { height: 2fr; }
.wide #ladder { height: 3fr; }
.wide #timers { height: 8; }
.wide #hex { height: 2fr; }
.wide #fields { height: 3fr; }

.view-compare #left, .view-compare #middle, .view-compare #right { display: none; }
.wide.view-compare #left, .wide.view-compare #middle, .wide.view-compare #right { display: none; }
.view-compare #compare { display: block; }

.view-time #left, .view-time #middle, .view-time #right { display: none; }
.wide.view-time #middle, .wide.view-time #right, .wide.view-time #events { display: none; }
.wide.view-time #left { display: block; width: 2fr; }
.wide.view-time #time { width: 3fr; border-left: solid $secondary; }
.view-time #time { display: block; }

Help { align: center middle; }
Help > VerticalScroll { width: 80; max-width: 100%; height: auto; max-height: 100%; border: round $accent; padding: 0 1; }
Help Static { height: auto; }
"""


class Help(ModalScreen[None]):
    """The help page: keys and commands."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q,enter,space", "app.pop_screen", show=False)
    ]

    def compose(self) -> ComposeResult:
        """Build the page."""
        text = Text()
        for key, what in KEYS:
            text.append(f"{key:<9}", "bold").append(f"{what}\n")
        text.append("\n")
        for name, (arguments, what) in COMMANDS.items():
            text.append(f"{name} {arguments}".ljust(28), "bold").append(f"{what}\n")
        text.append("\n")
        for form, what in FORMS.items():
            text.append(f"whatif {form}".ljust(28), "bold").append(f"{what}\n")
        text.append("\n")
        for example in EXAMPLES:
            text.append(f"{example}\n", "dim")
        with VerticalScroll():
            yield Static(text)


class CommandLine(Input):
    """The command line. The up and down keys recall earlier lines.

    Enter and Esc take effect at once, so that the keys that follow, however fast they come, are not part of the line.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "older(-1)", show=False),
        Binding("down", "older(1)", show=False),
    ]

    def __init__(self, *, id: str):
        super().__init__(id=id, select_on_focus=False)
        self.history: list[str] = []
        self.place = 0
        self.display = False

    async def _on_key(self, event: events.Key) -> None:
        app: Any = self.app
        if not self.display:
            event.stop()
            event.prevent_default()
            app.post_message(events.Key(event.key, event.character))
        elif event.key in ("enter", "escape"):
            event.stop()
            event.prevent_default()
            text = self.value.strip() if event.key == "enter" else ""
            if text and self.history[-1:] != [text]:
                self.history.append(text)
            app.asking(None)
            app.do(text)
        else:
            await super()._on_key(event)

    def action_older(self, step: int) -> None:
        """Recall an older line, or a newer one."""
        self.place = max(0, min(self.place + step, len(self.history)))
        self.value = self.history[self.place] if self.place < len(self.history) else ""
        self.cursor_position = len(self.value)


class StepperApp(App[None]):
    """The application that steps through a timeline."""

    CSS = CSS
    ENABLE_COMMAND_PALETTE = False
    # The letters come first, so that a letter typed right after a colon goes to the command line; see check_action.
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "step('event', 1)", show=False, priority=True),
        Binding("p", "step('event', -1)", show=False, priority=True),
        Binding("f", "step('frame', 1)", show=False, priority=True),
        Binding("F", "step('frame', -1)", show=False, priority=True),
        Binding("l", "step('layer', 1)", show=False, priority=True),
        Binding("L", "step('layer', -1)", show=False, priority=True),
        Binding("t", "step('rtt', 1)", show=False, priority=True),
        Binding("T", "step('rtt', -1)", show=False, priority=True),
        Binding("right_square_bracket", "step('layer', 1)", show=False, priority=True),
        Binding("left_square_bracket", "step('layer', -1)", show=False, priority=True),
        Binding("right_curly_bracket", "step('rtt', 1)", show=False, priority=True),
        Binding("left_curly_bracket", "step('rtt', -1)", show=False, priority=True),
        Binding("r", "do('run')", show=False, priority=True),
        Binding("R", "do('back')", show=False, priority=True),
        Binding("a", "do('answer')", show=False, priority=True),
        Binding("b", "ask('break ')", show=False, priority=True),
        Binding("w", "ask('watch ')", show=False, priority=True),
        Binding("g", "ask('goto ')", show=False, priority=True),
        Binding("colon", "ask('')", show=False, priority=True),
        Binding("1", "do('view ladder')", show=False, priority=True),
        Binding("2", "do('view frame')", show=False, priority=True),
        Binding("3", "do('view events')", show=False, priority=True),
        Binding("4", "do('view compare')", show=False, priority=True),
        Binding("5", "do('view time')", show=False, priority=True),
        Binding("s", "do('view time')", show=False, priority=True),
        Binding("x", "do('swap')", show=False, priority=True),
        Binding("m", "do('scale')", show=False, priority=True),
        Binding("c", "connection", show=False, priority=True),
        Binding("y", "why", show=False, priority=True),
        Binding("z", "zoom", show=False, priority=True),
        Binding("d", "shade", show=False, priority=True),
        Binding("question_mark", "do('help')", show=False, priority=True),
        Binding("q", "quit", show=False, priority=True),
        Binding("right", "step('event', 1)", show=False),
        Binding("left", "step('event', -1)", show=False),
        Binding("down", "step('frame', 1)", show=False),
        Binding("up", "step('frame', -1)", show=False),
        Binding("home", "do('first')", show=False),
        Binding("end", "do('last')", show=False),
    ]

    def __init__(self, session: TerminalSession, rest: "Rest | None" = None):
        """`rest` reads the whole recording while the session shows its beginning."""
        super().__init__()
        self.session = session
        self.rest = rest
        self.reading = "reading the rest" if rest is not None else ""
        self.stopped = False
        self.commands = Commands(session, self.act)
        self.view = "ladder"
        self.title = pictures(f"pystack step {session.timeline.name}")

    def compose(self) -> ComposeResult:
        """Build the screen: title, panes, explanation, command line, keys."""
        session = self.session
        yield Static(id="top")
        with Horizontal(id="body"):
            with Vertical(id="left"):
                yield LadderPane(session, id="ladder")
                yield Events(session, id="events")
            with Vertical(id="middle"):
                yield Fields(session, id="fields")
                yield Hex(session, id="hex")
            with Vertical(id="right"):
                yield ConnectionPane(session, id="tcb")
                yield Timers(session, id="timers")
            yield Compare(session, id="compare")
            yield Waterfall(session, id="time")
        yield Reason(session, id="why")
        with Horizontal(id="line"):
            prompt = Static(":", id="prompt")
            prompt.display = False
            yield prompt
            yield CommandLine(id="command")
            yield Static(id="message", markup=False)
        yield Static(FOOTER, id="keys")

    def on_mount(self) -> None:
        """Show the first screen."""
        self.show(self.view)
        self.query_one("#ladder").focus()
        self.update()
        if self.rest is not None:
            # A daemon, because a user who quits does not wait for the rest.
            threading.Thread(target=self._read_rest, daemon=True).start()

    def on_unmount(self) -> None:
        """End the reading of the rest."""
        self.stopped = True

    def _read_rest(self) -> None:
        assert self.rest is not None
        try:
            timeline = self.rest(self._progress)
        except StoppedError:
            return
        except TraceError as error:
            self.call_from_thread(self._finish, None, str(error))
            return
        self.call_from_thread(self._finish, timeline, "")

    def _progress(self, done: int, size: int) -> None:
        if self.stopped:
            raise StoppedError
        text = f"reading: {min(done * 100 // max(size, 1), 99)} %"
        if text != self.reading:
            self.reading = text
            self.call_from_thread(self.update)

    def _finish(self, timeline: "Timeline | None", error: str) -> None:
        """Show the whole recording, or what was wrong with its rest."""
        self.reading = ""
        if timeline is not None:
            self.session.replace(timeline)
        else:
            self.session.fail(f"only the beginning is shown: {error}")
        self.update()

    def on_resize(self, event: events.Resize) -> None:
        """Show everything at once if there is room."""
        base = self.screen_stack[0]
        base.set_class(event.size.width >= WIDE and event.size.height >= TALL, "wide")
        base.set_class(not self.session.timeline.connections, "no-tcb")

    # -- what is shown -----------------------------------------------------------------------------------------------

    def update(self) -> None:
        """Show the session's current place."""
        base = self.screen_stack[0]
        base.query_one("#top", Static).update(self._position())
        for pane in base.query(Pane):
            pane.changed()
        base.query_one("#fields", Fields).changed()
        message = base.query_one("#message", Static)
        message.update(pictures(self.session.message))
        message.set_class(self.session.failed, "failed")

    def _position(self) -> Text:
        session = self.session
        timeline, frame = session.timeline, session.frame
        number = frame.number if frame is not None else "-"
        event = session.cursor.position if session.cursor.position >= 0 else "-"
        parts = [
            f" {timeline.name}",
            f"frame {number}/{len(timeline.frames)}",
            f"event {event}/{len(timeline.events) - 1}",
            f"{words.since(session.cursor.time, timeline.start)} s",
        ]
        if self.reading:
            parts.append(self.reading)
        points = sum(one.enabled for one in session.cursor.breakpoints)
        if points:
            parts.append(f"{points} stop{'s' if points > 1 else ''}")
        return Text(pictures("   ".join(parts)), no_wrap=True, overflow="ellipsis")

    def show(self, view: str) -> None:
        """Show one of VIEWS, on a screen that has no room for all."""
        base = self.screen_stack[0]
        for name in VIEWS:
            base.set_class(name == view, f"view-{name}")
        self.view = view
        focused = self.focused
        if view == "time" or focused is None or not focused.display or not _shown(focused.ancestors):
            base.query_one(FIRST[view]).focus()

    def choose(self, node: Node) -> None:
        """Choose this field of the frame."""
        self.session.choose(node)
        self.query_one("#hex", Hex).changed()
        if node.meaning:
            self.session.say(f"{node.name}: {node.meaning}")
            self.query_one("#message", Static).update(pictures(self.session.message))

    # -- what is done ------------------------------------------------------------------------------------------------

    def do(self, line: str) -> bool:
        """Carry out a command as if it were typed."""
        done = self.commands.execute(line)
        self.update()
        return done

    def act(self, name: str, argument: str) -> None:
        """Carry out the part of a command that concerns the screen."""
        if name == "view":
            self.show(argument)
        elif name == "help":
            self.push_screen(Help())
        elif name == "quit":
            self.exit()

    def action_do(self, line: str) -> None:
        """Carry out a command that is bound to a key."""
        self.do(line)

    def action_step(self, unit: str, count: int) -> None:
        """Step by `count` units."""
        self.session.say(self.commands.step(unit, count))
        self.update()

    def action_connection(self) -> None:
        """Show the next connection."""
        name = self.session.next_connection()
        self.session.say(f"shows {name}" if name else "shows the connection at the cursor")
        self.update()

    def action_zoom(self) -> None:
        """Show only the focused pane, or all again."""
        if self.screen.maximized is not None:
            self.screen.minimize()
        elif self.focused is not None:
            self.screen.maximize(self.focused)

    def action_why(self) -> None:
        """Show the whole explanation, or the panes again."""
        if self.screen.maximized is not None:
            self.screen.minimize()
        else:
            reason = self.query_one("#why")
            reason.focus()
            self.screen.maximize(reason)

    def action_shade(self) -> None:
        """Switch between dark and light colours."""
        self.theme = "textual-light" if self.theme == "textual-dark" else "textual-dark"

    # -- the command line --------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> "bool | None":
        """Disable the application's keys while the command line or the help page is open."""
        base = self.screen_stack[0] if self.screen_stack else None
        if base is None or action not in _OURS:
            return True
        return len(self.screen_stack) == 1 and not base.query_one("#command").display

    def action_ask(self, start: str) -> None:
        """Open the command line with the beginning of a command."""
        self.asking(start)

    def asking(self, start: "str | None") -> None:
        """Open the command line, or close it (None)."""
        line = self.query_one("#command", CommandLine)
        opened = start is not None
        line.display = self.query_one("#prompt").display = opened
        self.query_one("#message").display = not opened
        if start is None:
            self.screen.set_focus(self.query_one(FIRST[self.view]))
            return
        line.value = start
        line.cursor_position = len(start)
        line.place = len(line.history)
        self.screen.set_focus(line)


#: the actions of the application's keys
_OURS = ("step", "do", "ask", "connection", "why", "zoom", "shade", "quit")


def _shown(ancestors: Iterable[Any]) -> bool:
    return all(one.display for one in ancestors)
