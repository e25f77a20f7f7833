"""Firefox and WebKit, driven without a package: Firefox by its own protocol (Marionette), WebKitGTK by WebKitWebDriver.

Both take the commands of WebDriver. Playwright drives only its own builds of these browsers, which come from no package registry.
"""

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urljoin

import pytest

from tests.support.ports import free_port

#: `make browsers` tries everything in each browser; `make test` has time for the most important things in Firefox
ALL = "PYSTACK_BROWSERS" in os.environ
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the name of an element's reference in WebDriver
KEYS = {"Enter": "\ue007", "Escape": "\ue00c", "Home": "\ue011", "Control": "\ue009"} | {
    f"Arrow{name}": chr(0xE012 + index) for index, name in enumerate(("Left", "Up", "Right", "Down"))
}
PATIENCE = 60
#: what Firefox would otherwise do in the background
QUIET = {
    "app.normandy.enabled": False,
    "browser.newtabpage.enabled": False,
    "browser.region.network.url": "",
    "browser.safebrowsing.update.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.page": 0,
    "browser.topsites.contile.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "extensions.getAddons.cache.enabled": False,
    "extensions.update.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "network.proxy.type": 0,
    "services.settings.server": "data:,none",
}
MINI_BROWSER = next(iter(Path("/usr/lib").glob("*/webkit2gtk-4.1/MiniBrowser")), None)


class Refused(Exception):
    """The browser refused a command."""


class Driven:
    """A browser with one page, or several tabs. `ask` sends a command of WebDriver and returns its value."""

    #: Complaints without an effect. The first is about Pyodide, and the second is one that Firefox has about the stepper in a frame, but not about the
    #: same page alone, whenever its script begins.
    FOREIGN = (
        "The WebAssembly exception handling",
        "Layout was forced before the page was fully loaded",
        # the requests of a page that is left while they are on their way
        "AbortError: The operation was aborted.",
        "TypeError: NetworkError when attempting to fetch resource.",
    )

    def ask(self, command, **parameters):
        raise NotImplementedError

    # -- scripts

    def script(self, body, *args):
        return self.ask("ExecuteScript", script=body, args=list(args))

    def evaluate(self, function, *args):
        """Return the value of an expression, or of a function with these arguments."""
        return self.script(f"const it = {function}; return typeof it === 'function' ? it(...arguments) : it;", *args)

    def until(self, function, *args):
        deadline = time.monotonic() + PATIENCE
        while not self.evaluate(function, *args):
            assert time.monotonic() < deadline, f"not so after {PATIENCE} s: {function} {args}"
            time.sleep(0.05)

    def wait(self, selector):
        self.until("selector => !!document.querySelector(selector)", selector)

    def text(self, selector):
        return self.script("return document.querySelector(arguments[0]).innerText", selector)

    # -- as a person

    def open(self, address, ready):
        """Open a page, also if only the part after "#" differs, and wait for an element."""
        # By way of another page of the server, because about:blank has another process, and Firefox ends the scripts of a process
        # without pages.
        self.ask("Navigate", url=urljoin(address, "/"))
        self.ask("Navigate", url=address)
        self.wait(ready)

    def reload(self, ready):
        """Reload as F5 does. (The drivers' own command goes around the service worker.)"""
        self.evaluate("() => { document.documentElement.dataset.old = 'yes'; location.reload(); }")
        self.until(
            "selector => document.documentElement?.dataset.old === undefined && !!document.querySelector(selector)",
            ready,
        )

    def click(self, selector):
        """Click, as soon as it can be: a list may be drawn anew between the look for the element and the click."""
        deadline = time.monotonic() + PATIENCE
        while True:
            self.wait(selector)
            element = self.script("return document.querySelector(arguments[0])", selector)
            try:
                self.ask("ElementClick", id=element[ELEMENT])
                return
            except Refused:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def press(self, keys):
        """Press a key, or keys together such as Control+a."""
        held = [KEYS.get(key, key) for key in keys.split("+")]
        self._keys([("keyDown", key) for key in held] + [("keyUp", key) for key in reversed(held)])

    def type(self, text):
        """Type a text, key by key."""
        keys = [KEYS["Enter"] if letter == "\n" else letter for letter in text]
        self._keys([(action, key) for key in keys for action in ("keyDown", "keyUp")])

    def _keys(self, actions):
        actions = [{"type": action, "value": key} for action, key in actions]
        self.ask("PerformActions", actions=[{"type": "key", "id": "keyboard", "actions": actions}])

    def tab(self):
        """Return the tab that commands go to."""
        return self.ask("GetWindowHandle")

    def new_tab(self):
        self.to_tab(self.ask("NewWindow", type="window")["handle"])

    def to_tab(self, handle):
        self.ask("SwitchToWindow", handle=handle)

    def enter_frame(self, selector):
        """Let commands go to a frame."""
        self.wait(selector)
        element = self.script("return document.querySelector(arguments[0])", selector)
        self.ask("SwitchToFrame", element=element[ELEMENT])

    def leave_frame(self):
        self.ask("SwitchToFrame", element=None)

    def complaints(self):
        """Return what is in the console since the last time, if the browser tells."""
        return []


class Firefox(Driven):
    def __init__(self, folder):
        profile = folder / "profile"
        profile.mkdir()
        settings = QUIET | {"marionette.port": 0}
        lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in settings.items()]
        (profile / "user.js").write_text("\n".join(lines))
        command = ["firefox-esr", "--headless", "--marionette", "--remote-allow-system-access", "--no-remote"]
        size = {"MOZ_HEADLESS_WIDTH": "1366", "MOZ_HEADLESS_HEIGHT": "900"}
        self.process = subprocess.Popen(
            [*command, "--profile", str(profile), "about:blank"],
            env={**os.environ, "HOME": str(folder), "MOZ_CRASHREPORTER_DISABLE": "1", **size},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.number = 0
        self.socket = None
        try:
            self.socket = socket.create_connection(
                ("127.0.0.1", self._port(profile / "MarionetteActivePort")), PATIENCE
            )
            self.file = self.socket.makefile("rb")
            self._message()
            self.ask("NewSession", unhandledPromptBehavior="ignore")
            self.complaints()
        except BaseException:
            self.close()
            raise

    def _port(self, path):
        deadline = time.monotonic() + PATIENCE
        while not (path.exists() and path.read_text()):
            assert self.process.poll() is None and time.monotonic() < deadline, "Firefox did not start"
            time.sleep(0.05)
        return int(path.read_text())

    def _message(self):
        """Read a message: its length, a colon, and JSON."""
        length = b""
        while (byte := self.file.read(1)) != b":":
            assert byte, "Firefox has ended"
            length += byte
        return json.loads(self.file.read(int(length)))

    def ask(self, command, **parameters):
        if command == "ExecuteScript":
            parameters["sandbox"] = None  # in the page itself
        return self._ask(command if ":" in command else f"WebDriver:{command}", parameters)

    def _ask(self, command, parameters):
        self.number += 1
        data = json.dumps([0, self.number, command, parameters]).encode()
        self.socket.sendall(b"%d:%s" % (len(data), data))
        _, _, error, result = self._message()
        if error is not None:
            raise Refused(f"{command}: {error['error']}: {error['message']}")
        return result["value"] if result and list(result) == ["value"] else result

    def complaints(self):
        self.ask("Marionette:SetContext", value="chrome")
        found = self.script("""
            const found = Services.console.getMessageArray().filter((one) => one instanceof Ci.nsIScriptError);
            Services.console.reset();
            return found.map((one) => [one.sourceName, one.category, one.errorMessage]);""")
        self.ask("Marionette:SetContext", value="content")
        own = ("resource:", "chrome:", "jar:", "moz-extension:")
        return [one for one in found if not one[0].startswith(own) and not one[2].startswith(self.FOREIGN)]

    def close(self):
        if self.socket is not None:
            self.file.close()
            self.socket.close()
        self.process.terminate()
        self.process.wait(PATIENCE)


class WebKit(Driven):
    #: the command -> the method, and the path below the session
    COMMANDS = {
        "ExecuteScript": ("POST", "execute/sync"),
        "Navigate": ("POST", "url"),
        "ElementClick": ("POST", "element/{id}/click"),
        "PerformActions": ("POST", "actions"),
        "GetWindowHandle": ("GET", "window"),
        "NewWindow": ("POST", "window/new"),
        "SwitchToWindow": ("POST", "window"),
        "SwitchToFrame": ("POST", "frame"),
    }

    def __init__(self, folder):
        reading, writing = os.pipe()
        screen = ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1600x1200x24", "-nolisten", "tcp"]
        self.processes = [subprocess.Popen(screen, pass_fds=[writing], stderr=subprocess.DEVNULL)]
        os.close(writing)
        with os.fdopen(reading) as file:
            display = file.readline().strip()
        port = free_port()
        self.address = f"http://127.0.0.1:{port}"
        own = {"HOME": str(folder), "DISPLAY": f":{display}", "GDK_BACKEND": "x11", "NO_AT_BRIDGE": "1"}
        own |= {"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}  # then WebKit's navigator.language is "C", which is no language
        own |= {f"XDG_{name}_HOME": str(folder / name) for name in ("CACHE", "CONFIG", "DATA")}
        command = ["WebKitWebDriver", f"--port={port}"]
        self.processes.append(
            subprocess.Popen(command, env={**os.environ, **own}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        )
        self.session = ""
        try:
            self._begin()
        except BaseException:
            self.close()
            raise

    def _begin(self):
        options = {"binary": str(MINI_BROWSER), "args": ["--automation"]}
        wanted = {"unhandledPromptBehavior": "ignore", "webkitgtk:browserOptions": options}
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                started = self._request("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
                break
            except urllib.error.URLError:  # the driver does not listen yet
                assert time.monotonic() < deadline, "WebKitWebDriver did not start"
                time.sleep(0.05)
        self.session = f"/session/{started['sessionId']}"
        self._request("POST", f"{self.session}/window/rect", {"width": 1366, "height": 850})

    def _request(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise Refused(f"{path}: {json.load(error)['value']}") from None

    def ask(self, command, **parameters):
        method, path = self.COMMANDS[command]
        if command == "SwitchToFrame":
            element = parameters["element"]
            parameters = {"id": element and {ELEMENT: element}}
        path = f"{self.session}/{path.format(**parameters)}"
        return self._request(method, path, parameters if method == "POST" else None)

    def close(self):
        if self.session:
            self._request("DELETE", self.session)
        for process in reversed(self.processes):
            process.terminate()
            process.wait(PATIENCE)


def start(name, folder):
    """Start a browser, or skip the test with the name of the missing package."""
    if name == "firefox":
        if shutil.which("firefox-esr") is None:
            pytest.skip("no firefox-esr (Debian package firefox-esr)")
        return Firefox(folder)
    if shutil.which("WebKitWebDriver") is None or shutil.which("Xvfb") is None or MINI_BROWSER is None:
        pytest.skip("no WebKit (Debian packages webkit2gtk-driver and xvfb)")
    return WebKit(folder)
