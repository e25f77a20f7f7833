"""aiohttp, uvicorn with Starlette, hypercorn with HTTP/2, websockets, and server-sent events."""

import asyncio
import contextlib
import ssl
import subprocess

from tests.programs.real.apps.processes import running

BODY = bytes(range(256)) * 600


async def forever():
    """Wait until the task is cancelled."""
    await asyncio.Event().wait()


# -- aiohttp ---------------------------------------------------------------------------------------------------------


async def aiohttp_server(files):
    """A page, an echo of bodies, a file, and a WebSocket on port 80."""
    from aiohttp import WSMsgType, web

    async def page(request):
        return web.Response(text="<p>hello</p>")

    async def back(request):
        return web.Response(body=await request.read())

    async def file(request):
        return web.FileResponse(f"{files}/file")

    async def socket(request):
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        async for message in ws:
            if message.type == WSMsgType.TEXT:
                await ws.send_str(message.data.upper())
            elif message.type == WSMsgType.BINARY:
                await ws.send_bytes(message.data)
        return ws

    app = web.Application()
    app.add_routes([web.get("/", page), web.post("/", back), web.get("/file", file), web.get("/ws", socket)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "0.0.0.0", 80).start()
    try:
        await forever()
    finally:
        await runner.cleanup()


async def aiohttp_client(host, files):
    """Five requests at once, an upload, a file and a WebSocket."""
    import aiohttp

    async with aiohttp.ClientSession() as session:

        async def get():
            async with session.get(f"http://{host}/") as answer:
                return await answer.text()

        assert await asyncio.gather(*(get() for _ in range(5))) == ["<p>hello</p>"] * 5
        async with session.post(f"http://{host}/", data=BODY) as answer:
            assert await answer.read() == BODY
        async with session.get(f"http://{host}/file") as answer:
            assert await answer.read() == BODY
        async with session.ws_connect(f"ws://{host}/ws") as ws:
            await ws.send_str("hello")
            assert await ws.receive_str() == "HELLO"
            await ws.send_bytes(BODY)
            assert await ws.receive_bytes() == BODY


# -- uvicorn and Starlette, server-sent events -----------------------------------------------------------------------


def starlette_app(files):
    """The same paths as aiohttp's server, and /events."""
    from sse_starlette import EventSourceResponse
    from starlette.applications import Starlette
    from starlette.responses import FileResponse, Response
    from starlette.routing import Route, WebSocketRoute

    async def page(request):
        return Response(await request.body() or b"<p>hello</p>", media_type="text/html")

    async def file(request):
        return FileResponse(f"{files}/file")

    async def events(request):
        async def numbers():
            for number in range(5):
                await asyncio.sleep(0.05)
                yield {"event": "number", "data": str(number)}

        return EventSourceResponse(numbers())

    async def socket(ws):
        await ws.accept()
        await ws.send_text((await ws.receive_text()).upper())
        await ws.send_bytes(await ws.receive_bytes())
        await ws.close()

    routes = [Route("/", page, methods=["GET", "POST"]), Route("/file", file), Route("/events", events)]
    return Starlette(routes=[*routes, WebSocketRoute("/ws", socket)])


async def uvicorn_server(files):
    """uvicorn on port 80."""
    import uvicorn

    server = uvicorn.Server(
        uvicorn.Config(starlette_app(files), host="0.0.0.0", port=80, log_level="error", lifespan="off")
    )
    task = asyncio.ensure_future(server.serve())
    try:
        await forever()
    finally:
        server.should_exit = True
        await task


async def sse_client(host, files):
    """httpx-sse reads five events."""
    import httpx
    import httpx_sse

    async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
        async with httpx_sse.aconnect_sse(client, "GET", f"http://{host}/events") as source:
            seen = [(event.event, event.data) async for event in source.aiter_sse()]
    assert seen == [("number", str(number)) for number in range(5)]


def curl_events(host, files):
    """curl reads the events, and a file."""
    command = ["curl", "-sSN", "-m", "20", f"http://{host}/events"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert [line for line in text.splitlines() if line.startswith("data")] == [f"data: {n}" for n in range(5)]


def curl_file(host, files):
    """curl fetches the server's file."""
    command = ["curl", "-sS", "-m", "20", f"http://{host}/file"]
    assert subprocess.run(command, capture_output=True, check=True).stdout == BODY


# -- HTTP/2 ----------------------------------------------------------------------------------------------------------


async def hypercorn_server(files):
    """hypercorn on port 443 with TLS, which offers HTTP/2."""
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    config = Config()
    config.bind = ["0.0.0.0:443"]
    config.certfile, config.keyfile = f"{files}/server.pem", f"{files}/server.pem"
    config.errorlog = None
    config.graceful_timeout = 0.1
    await serve(starlette_app(files), config, shutdown_trigger=forever)


@contextlib.contextmanager
def nghttpd(files):
    """Debian's nghttpd on port 443, which serves the folder."""
    with running(["nghttpd", "-d", files, "443", f"{files}/server.pem", f"{files}/server.pem"]):
        yield


async def http2_client(host, files):
    """httpx with h2: twenty requests at once on one connection."""
    import httpx

    context = ssl.create_default_context(cafile=f"{files}/ca.pem")
    async with httpx.AsyncClient(http2=True, trust_env=False, timeout=20, verify=context) as client:
        answers = await asyncio.gather(*(client.get(f"https://{host}/file") for _ in range(20)))
    assert [(answer.http_version, answer.content) for answer in answers] == [("HTTP/2", BODY)] * 20


def h2load(host, files):
    """nghttp2's load generator: 200 requests, 10 at once on each of 4 connections."""
    command = ["h2load", "-n", "200", "-c", "4", "-m", "10", f"https://{host}/"]
    text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout
    assert "200 succeeded, 0 failed" in text and "Application protocol: h2" in text, text


# -- websockets ------------------------------------------------------------------------------------------------------


async def websockets_server(files):
    """websockets' asyncio server on port 80."""
    from websockets.asyncio.server import serve

    async def socket(ws):
        async for message in ws:
            await ws.send(message.upper() if isinstance(message, str) else message)

    async with serve(socket, "0.0.0.0", 80, ping_interval=1) as server:
        await server.serve_forever()


async def websockets_client(host, files):
    """websockets' asyncio client: two messages and a ping."""
    from websockets.asyncio.client import connect

    async with connect(f"ws://{host}/ws", proxy=None) as ws:
        await ws.send("hello")
        assert await ws.recv() == "HELLO"
        await ws.send(BODY)
        assert await ws.recv() == BODY


def websockets_sync_client(host, files):
    """The same with the client that blocks, which has a thread of its own."""
    from websockets.sync.client import connect

    with connect(f"ws://{host}/ws", proxy=None) as ws:
        ws.send("hello")
        assert ws.recv(20) == "HELLO"
        ws.send(BODY)
        assert ws.recv(20) == BODY


async def aiohttp_websocket(host, files):
    """aiohttp's client as the peer of websockets' server."""
    import aiohttp

    async with aiohttp.ClientSession() as session, session.ws_connect(f"ws://{host}/ws") as ws:
        await ws.send_str("hello")
        assert await ws.receive_str() == "HELLO"
        await ws.send_bytes(BODY)
        assert await ws.receive_bytes() == BODY
