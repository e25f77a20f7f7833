"""What protects a page that this machine serves to its own user: the check of each request, headers, and the size of bodies.

Every address begins with a random secret. The Host must be this machine's own name (against DNS rebinding), and requests from
other pages are refused. The web stepper and the course use it.
"""

import json
import secrets
import socket
import threading
import webbrowser
from collections.abc import Callable
from typing import Any

import uvicorn
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

#: a request holds a position and a few expressions
MOST_BODY = 100_000
#: the longest path of a page's own requests has less than 100 characters
LONGEST_PATH = 1000
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


def answer(value: Any, status: int = 200) -> Response:
    """Return a response with JSON."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=str)
    return Response(text, status, media_type="application/json")


class Guard:
    """Lets through only requests of this server's own page: the right Host, the right secret, and no other page's
    request. `command` printed the address. A response may have a policy of its own instead of the one in `headers`.
    """

    def __init__(self, app: Any, hosts: list[str], secret: str, command: str, headers: "dict[str, str] | None" = None):
        self.app = app
        self.hosts = hosts
        self.secret = secret
        self.command = command
        self.headers = HEADERS if headers is None else headers

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Handle an ASGI connection."""
        if scope["type"] != "http":
            return  # The server has no web sockets and no lifespan.

        async def send_with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                own = {name for name, _ in message["headers"]}
                headers = ((name.encode(), value.encode()) for name, value in self.headers.items())
                message["headers"] += [(name, value) for name, value in headers if name not in own]
            await send(message)

        refusal = self.refusal(Request(scope))
        await (self.app if refusal is None else refusal)(scope, receive, send_with_headers)

    def refusal(self, request: Request) -> Response | None:
        """Return a response that says why the request is refused, or None."""
        if request.headers.get("host", "") not in self.hosts:
            return PlainTextResponse(
                "pystack: the server accepts requests only under this machine's local names\n", 421
            )
        origin = request.headers.get("origin")
        if origin is not None and origin not in [f"http://{host}" for host in self.hosts]:
            return PlainTextResponse("pystack: the server refuses requests from other pages\n", 403)
        # A link on another site may lead here, but that site cannot know the secret.
        if request.headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
            return PlainTextResponse("pystack: the server refuses requests from other pages\n", 403)
        first = request.url.path.split("/", 2)[1]
        if not secrets.compare_digest(first.encode(), self.secret.encode()):
            return PlainTextResponse(f"pystack: open the address that `{self.command}` printed\n", 404)
        if len(request.url.path) > LONGEST_PATH:  # Python refuses to read a number of so many digits.
            return PlainTextResponse("pystack: the address is too long\n", 414)
        return None


async def read(request: Request, most: int) -> dict[str, Any]:
    """Return the body of a request: a JSON object of at most `most` bytes. ValueError says what is wrong with it."""
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        raise ValueError("the body must be JSON")
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > most:
            raise ValueError("the body is too long")
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError("the body is not valid JSON") from None
    if not isinstance(found, dict):
        raise ValueError("the body must be a JSON object")
    return found


def hosts(port: int) -> list[str]:
    """Return what the Host of a request may be."""
    return [f"{name}:{port}" for name in ("127.0.0.1", "localhost")]


class _Server(uvicorn.Server):
    """Calls `ending` before it waits for the end of the responses that it has begun."""

    ending: Callable[[], None]

    async def shutdown(self, sockets: "list[socket.socket] | None" = None) -> None:
        """End."""
        self.ending()
        await super().shutdown(sockets)


def run(
    application: Callable[[int, str], Any],
    port: int,
    browser: bool,
    fragment: str = "",
    ending: Callable[[], None] = lambda: None,
) -> None:
    """Serve `application(port, secret)` on 127.0.0.1 until Ctrl-C, and print its address. Port 0 takes a free one.

    At the end, the server calls `ending`, and then waits for the responses that it has begun.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(64)
        port = listener.getsockname()[1]
        secret = secrets.token_urlsafe(16)
        address = f"http://127.0.0.1:{port}/{secret}/{fragment}"
        print(f"{address}\nCtrl-C ends it.", flush=True)
        if browser:
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
        config = uvicorn.Config(
            application(port, secret),
            log_level="warning",
            access_log=False,
            lifespan="off",
            ws="none",
            server_header=False,
        )
        server = _Server(config)
        server.ending = ending
        server.run(sockets=[listener])
