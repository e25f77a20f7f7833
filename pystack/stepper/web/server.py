"""The server of the web stepper: Starlette on 127.0.0.1, one page, and JSON for its data.

guard.py makes it safe on a machine with other users and other open pages. Expressions are evaluated only by expr.py, and only
the bundle's files are served.
"""

import threading
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from pystack.stepper.export import page, scenario_of
from pystack.stepper.web import bundle
from pystack.stepper.web.data import Trace
from pystack.stepper.web.desk import Desk
from pystack.stepper.web.guard import MOST_BODY, Guard, answer, hosts, read, run
from pystack.stepper.web.session import WebSession

if TYPE_CHECKING:
    from pystack.stepper.cursor import Cursor
    from pystack.stepper.scenarios import Scenario
    from pystack.stepper.timeline import Timeline

#: the parts of the server's addresses below /SECRET/: the trace of the command line, a scenario, a file
PLACES = {"": "", "scenario": "/scenario/{name:str}", "file": "/file/{name:path}"}


def application(desk: Desk, port: int, secret: str) -> Any:
    """Return the ASGI application. Every path is below /SECRET/, and each trace has its own place there."""
    lock = threading.Lock()
    routes = [
        Route(f"/{secret}/start/", static("index.html")),
        *(Route(f"/{secret}/start/{name}", static(name)) for name in bundle.FILES),
        Route(f"/{secret}/api/start", asked(lock, desk.start)),
    ]
    if desk.first is None:
        routes.append(Route(f"/{secret}/", lambda request: RedirectResponse("start/")))
    for kind, place in PLACES.items():
        routes += place_routes(desk, lock, kind, f"/{secret}{place}")
    return Guard(Starlette(routes=routes), hosts(port), secret, "pystack step --web")


def static(name: str) -> Callable[[Request], Response]:
    """Return what answers with a file of the bundle."""
    return lambda request: Response(bundle.text(name), media_type=bundle.FILES[name])


def asked(lock: Any, function: Callable[..., Any]) -> Callable[[Request], Awaitable[Response]]:
    """Wrap a function of a session: its result becomes JSON. Only one request at a time uses a timeline."""

    def ask(arguments: dict[str, Any]) -> Response:
        try:
            with lock:
                return answer(function(**arguments))
        except LookupError as error:
            return answer({"error": str(error.args[0] if error.args else error)}, 404)
        except (ValueError, TypeError) as error:
            return answer({"error": str(error)}, 400)

    async def endpoint(request: Request) -> Response:
        try:
            body = await read(request, MOST_BODY) if request.method == "POST" else dict(request.query_params)
        except ValueError as error:
            return answer({"error": str(error)}, 400)
        return await run_in_threadpool(ask, {**body, **request.path_params})

    return endpoint


def place_routes(desk: Desk, lock: Any, kind: str, base: str) -> list[Route]:
    """Return the routes of one place: the page, and the data of its traces."""

    def of_session(method: str) -> Callable[..., Any]:
        def call(name: str = "", **arguments: Any) -> Any:
            return getattr(desk.session(kind, name), method)(**arguments)

        return call

    def download(request: Request) -> Response:
        """Return the exported page."""
        try:
            with lock:
                session = desk.session(kind, request.path_params.get("name", ""))
                trace = session.trace(request.path_params["trace"])
                text = page(trace)
        except (LookupError, ValueError) as error:
            return PlainTextResponse(f"{error}\n", 400)
        last = trace.timeline.name.rpartition("/")[2]
        name = "".join(letter if letter.isascii() and letter.isalnum() or letter in "-_." else "_" for letter in last)
        return Response(
            text, media_type="text/html", headers={"Content-Disposition": f'attachment; filename="{name}.html"'}
        )

    def progress(name: str = "") -> dict[str, Any]:
        return desk.progress(kind, name)

    api = f"{base}/api/{{trace:str}}"
    posted = ("step", "run", "filter", "evaluate", "branch", "attempt", "changed", "search")
    return [
        Route(f"{base}/", static("index.html")),
        *(Route(f"{base}/{name}", static(name)) for name in bundle.FILES),
        Route(f"{base}/api/progress", asked(lock, progress)),
        Route(f"{api}/overview", asked(lock, of_session("overview"))),
        Route(f"{api}/events/{{number:int}}", asked(lock, of_session("events"))),
        Route(f"{api}/frames/{{number:int}}", asked(lock, of_session("frames"))),
        Route(f"{api}/why/{{index:int}}", asked(lock, of_session("why"))),
        Route(f"{api}/conversations", asked(lock, of_session("conversations"))),
        Route(f"{api}/streams/{{number:int}}", asked(lock, of_session("stream"))),
        Route(f"{api}/plots", asked(lock, of_session("plots"))),
        Route(f"{api}/time", asked(lock, of_session("time"))),
        Route(f"{api}/export", download),
        *(Route(f"{api}/{name}", asked(lock, of_session(name)), methods=["POST"]) for name in posted),
    ]


def serve(
    timeline: "Timeline | None" = None,
    *,
    port: int = 0,
    browser: bool = True,
    cursor: "Cursor | None" = None,
    scenario: "Scenario | None" = None,
    against: "Timeline | None" = None,
    desk: Desk | None = None,
    layout: str = "",
) -> None:
    """Serve the page on 127.0.0.1 until Ctrl-C, and print its address. `against` is another run to compare with.

    Without a timeline, the page is that of `desk`: what it has opened first, or the start page.
    """
    bundle.text("stepper.js")  # fails now if the bundle is missing
    if desk is None:
        desk = Desk(None, ".")
    if timeline is not None:
        other = None if against is None else Trace(against, scenario_of(against), f"compared with {timeline.name}")
        desk.first = WebSession(Trace(timeline, scenario or scenario_of(timeline)), cursor, other)
    run(lambda port, secret: application(desk, port, secret), port, browser, f"#layout={layout}" if layout else "")
