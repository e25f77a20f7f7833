"""Driving the terminal stepper: keys in, and the text on the screen, as a person sees it, out."""

import asyncio
import html
import re

from pystack.stepper import scenarios
from pystack.stepper.tui import StepperApp, TerminalSession

#: size of a character in Textual's SVG
WIDTH, HEIGHT = 12.2, 24.4
NAMES = {
    " ": "space", "=": "equals_sign", '"': "quotation_mark", ".": "full_stop", "<": "less_than_sign", "*": "asterisk",
    ":": "colon", "-": "minus", "(": "left_parenthesis", "?": "question_mark", "/": "slash", "_": "underscore",
    ">": "greater_than_sign", "+": "plus", "'": "apostrophe", ")": "right_parenthesis", "[": "left_square_bracket",
}  # fmt: skip


class Person:
    """Somebody at a terminal."""

    def __init__(self, app, pilot):
        self.app, self.pilot = app, pilot
        self.session = app.session

    async def press(self, *keys):
        """Keys, one after the other."""
        for key in keys:
            await self.pilot.press(key)
        await self.pilot.pause()

    async def type(self, text):
        """Text letter by letter, and Enter."""
        await self.press(*(NAMES.get(letter, letter) for letter in text), "enter")

    async def fill(self, text):
        """The same at once, behind what the open command line has already: a paste."""
        line = self.app.query_one("#command")
        assert line.has_focus
        line.value += text
        await self.press("enter")

    async def command(self, line):
        """A line on the command line."""
        await self.press("colon")
        await self.fill(line)

    def lines(self):
        """What is on the screen."""
        svg = self.app.export_screenshot()
        width, height = self.app.size
        rows = [[" "] * width for _ in range(height)]
        matches = re.findall(r'<text class="[^"]*-r\d+" x="([\d.]+)" y="([\d.]+)"[^>]*>(.*?)</text>', svg)
        assert matches
        for x, y, text in matches:
            row, column = round((float(y) - 20) / HEIGHT), round(float(x) / WIDTH)
            letters = html.unescape(text).replace("\xa0", " ")
            if 0 <= row < height:
                rows[row][column : column + len(letters)] = letters
        return ["".join(row).rstrip() for row in rows]

    def text(self):
        """The same in one piece, white space made single."""
        return " ".join(" ".join(self.lines()).split())

    def pane(self, name):
        """The text of one pane."""
        return self.app.query_one(f"#{name}").render().plain


def watch(story, scenario="loss-fast-retransmit", size=(80, 24)):
    """Run `story(person)` on a terminal of this size."""
    found = scenarios.get(scenario)
    watch_session(story, TerminalSession(found.timeline(), scenario=found), size)


def watch_session(story, session, size=(80, 24)):
    """The same with a session of one's own."""

    async def run():
        app = StepperApp(session)
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            await story(Person(app, pilot))

    asyncio.run(run())
