"""A page of the stepper in a browser, as the tests use it."""

import time

from tests.support.patience import PATIENCE


class Page:
    """A page of the stepper, and all that it asked for and complained about."""

    def __init__(self, browser, address, ready=".facts", **context):
        self.context = browser.new_context(**{"viewport": {"width": 1366, "height": 768}, **context})
        self.context.set_default_timeout(PATIENCE * 1000)
        self.page = self.context.new_page()
        self.requests = []
        self.complaints = []
        # of the context, not the page: service workers and the like would be seen, too
        self.context.on("request", lambda request: self.requests.append(request.url))
        self.page.on(
            "console",
            lambda message: self.complaints.append(message.text) if message.type in ("error", "warning") else None,
        )
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(address)
        self.page.wait_for_selector(ready)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.context.close()

    def until(self, script, argument=None):
        """Wait until a function says true. (Playwright's own waiting needs eval, which the page's policy forbids.)"""
        deadline = time.monotonic() + PATIENCE
        while not self.page.evaluate(script, argument):
            assert time.monotonic() < deadline, f"still not: {script} {argument}"

    def settled(self, position):
        """Wait until the page stands at an event."""
        self.until("at => window.stepper.store.position === at", position)

    @property
    def position(self):
        return self.page.evaluate("window.stepper.store.position")

    def blocks(self):
        """The cells of the TCB's table: {(connection, field): the exact value}."""
        script = "cells => cells.map(cell => [cell.dataset.key, cell.dataset.field, cell.title])"
        return {(key, field): value for key, field, value in self.page.eval_on_selector_all(".tcb tbody td", script)}

    def text(self, selector):
        return self.page.inner_text(selector)
