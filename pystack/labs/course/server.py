"""The server of the course: the page, and what it asks for, on 127.0.0.1 alone (pystack/stepper/web/guard.py protects it).

A run and a check answer with lines of JSON: how far they are, and at the end the result. If the page closes the connection, because the
learner pressed Stop or closed the tab, the process of the run or of the check is ended.
"""

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from pystack.labs.course.host import grade_text, measure_apart, record_apart, write_apart
from pystack.labs.course.service import CourseService
from pystack.labs.folders import LONGEST, LabError
from pystack.labs.handout.markdown import html
from pystack.stepper.web import bundle
from pystack.stepper.web.guard import HEADERS, Guard, answer, hosts, read, run

#: a text of LONGEST bytes may need six times as many as JSON
MOST_BODY = 6 * LONGEST + 10_000
#: how long a run or a check waits for the one before it to end, in seconds
PATIENCE = 5.0
#: the course's page shows the stepper in a frame
COURSE_HEADERS = {
    **HEADERS,
    "content-security-policy": HEADERS["content-security-policy"] + "; frame-src 'self'",
}
#: The page of the stepper has a policy of its own, too, which allows its own script alone. It is shown in a frame of the course, as if it came
#: from another site.
STEP_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'; sandbox allow-scripts allow-popups",
}


class CourseJobs:
    """Runs and checks, one at a time. Each is a thread that waits for a process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.stops: set[threading.Event] = set()

    def stop(self) -> None:
        """End what runs, because the server ends."""
        for stop in list(self.stops):
            stop.set()

    def lines(self, work: Callable[[Any, threading.Event], dict[str, Any]]) -> AsyncIterator[str]:
        """Begin `work(progress, stop)` in a thread, and yield lines of JSON: its progress, and its result or its error."""
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        stop = threading.Event()

        def put(one: dict[str, Any]) -> None:
            with contextlib.suppress(RuntimeError):  # The loop is closed, because the server has ended.
                loop.call_soon_threadsafe(queue.put_nowait, one)

        def progress(done: int, of: int, what: str) -> None:
            put({"progress": [done, of, what]})

        def thread() -> None:
            if not self.lock.acquire(timeout=PATIENCE):
                put({"error": "another page runs or checks something: wait for its end, or stop it there"})
                return
            try:
                put({"error": "it was stopped"} if stop.is_set() else {"result": work(progress, stop)})
            except (LabError, ValueError) as error:
                put({"error": str(error)})
            except Exception as error:
                put({"error": f"{type(error).__name__}: {error}"})
                raise
            finally:
                self.lock.release()

        async def follow() -> AsyncIterator[str]:
            self.stops.add(stop)
            threading.Thread(target=thread, daemon=True).start()
            try:
                while True:
                    one = await queue.get()
                    yield json.dumps(one, ensure_ascii=False) + "\n"
                    if "progress" not in one:
                        return
            finally:
                stop.set()
                self.stops.discard(stop)

        return follow()


def application(service: CourseService, jobs: CourseJobs, port: int, secret: str) -> Any:
    """Return the ASGI application. Every path is below /SECRET/."""
    base = f"/{secret}"
    posted: dict[str, Callable[..., Any]] = {
        "save": service.save,
        "hint": service.hint,
        "solution": service.solution,
        "reset": service.reset,
    }

    def step(request: Request) -> Response:
        try:
            text = service.step(request.path_params["name"])["html"]
        except (LabError, ValueError) as error:
            return PlainTextResponse(f"{error}\n", 404)
        return Response(text, media_type="text/html; charset=utf-8", headers=STEP_HEADERS)

    def run_lab(n: int, body: dict[str, Any]) -> Any:
        predictions = body.get("predictions", {})
        if not isinstance(predictions, dict):
            raise ValueError("the predictions must be a JSON object")
        return lambda progress, stop: service.run(n, predictions, progress, stop)

    def check(n: int, body: dict[str, Any]) -> Any:
        return lambda progress, stop: service.check(n, body.get("text", ""), stop)

    routes = [
        Route(f"{base}/", static("course.html")),
        *(Route(f"{base}/{name}", static(name)) for name in bundle.COURSE_FILES),
        Route(f"{base}/api/index", asked(service.index)),
        Route(f"{base}/api/page/{{n:int}}", asked(service.page)),
        Route(f"{base}/api/plot/{{n:int}}", asked(service.plot)),
        Route(f"{base}/api/capture/{{n:int}}", asked(service.capture)),
        Route(f"{base}/api/run/{{n:int}}", followed(jobs, run_lab), methods=["POST"]),
        Route(f"{base}/api/check/{{n:int}}", followed(jobs, check), methods=["POST"]),
        *(Route(f"{base}/api/{name}/{{n:int}}", asked(posted[name]), methods=["POST"]) for name in posted),
        Route(f"{base}/step/{{name:str}}", step),
    ]
    return Guard(Starlette(routes=routes), hosts(port), secret, "pystack course", COURSE_HEADERS)


def static(name: str) -> Callable[[Request], Response]:
    """Return what answers with a file of the bundle."""
    return lambda request: Response(bundle.text(name), media_type=bundle.COURSE_FILES[name])


def asked(function: Callable[..., Any]) -> Callable[[Request], Awaitable[Response]]:
    """Wrap a method of the service: its result becomes JSON."""

    def ask(arguments: dict[str, Any]) -> Response:
        try:
            return answer(function(**arguments))
        except LabError as error:
            return answer({"error": str(error)}, 404)
        except (ValueError, TypeError) as error:
            return answer({"error": str(error)}, 400)

    async def endpoint(request: Request) -> Response:
        try:
            body = await read(request, MOST_BODY) if request.method == "POST" else {}
        except ValueError as error:
            return answer({"error": str(error)}, 400)
        return await run_in_threadpool(ask, {**body, **request.path_params})

    return endpoint


def followed(
    jobs: CourseJobs, prepared: Callable[[int, dict[str, Any]], Any]
) -> Callable[[Request], Awaitable[Response]]:
    """Wrap something that takes its time: the response has a line for each step of it."""

    async def endpoint(request: Request) -> Response:
        try:
            body = await read(request, MOST_BODY)
            work = prepared(request.path_params["n"], body)
        except ValueError as error:
            return answer({"error": str(error)}, 400)
        return StreamingResponse(jobs.lines(work), media_type="application/x-ndjson")

    return endpoint


def serve(*, port: int = 0, browser: bool = True, lab: int | None = None) -> None:
    """Serve the course on 127.0.0.1 until Ctrl-C, and print its address, which opens a lab if one is given."""
    bundle.text("course.js")  # fails now if the bundle is missing, and so does the next line without its package
    html("")
    service = CourseService(grade_text, measure=measure_apart, record=record_apart, write=write_apart)
    jobs = CourseJobs()
    try:
        run(
            lambda port, secret: application(service, jobs, port, secret),
            port,
            browser,
            "" if lab is None else f"#lab={lab}",
            jobs.stop,
        )
    finally:
        jobs.stop()
        if jobs.lock.acquire(timeout=PATIENCE):  # The process of a run or of a check has ended.
            jobs.lock.release()
