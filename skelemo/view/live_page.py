"""The page of ``skelemo live``, served with a WebSocket by a thread; slow clients that answer skip frames."""

import asyncio
import secrets
import threading
from collections.abc import Sequence
from importlib.resources import files

import orjson
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from skelemo import player
from skelemo.inference.live.stream import LiveFrame
from skelemo.skeleton import Layout
from skelemo.targets import Head
from skelemo.view.server import HOST, Guard, listen, new_token, server

#: Maximum number of clients.
_MOST_CLIENTS = 16


class LivePage:
    """Context manager that serves the page and the published frames.

    Messages are JSON. The first describes the stream: ``model``, ``heads``, ``parts`` with limbs, and image ``size``
    (0 for unknown). The others are frames: ``video``, ``number``, ``time``, ``latency``, and ``people`` with ``name``,
    ``seen``, ``points`` (flattened x, y, confidence) and ``outputs`` by head. A client may answer each with anything.

    Raises `InputError`: the port is in use.

    Parameters
    ----------
    port : 0 for any free port.
    """

    def __init__(self, model: str, heads: Sequence[Head], layout: Layout, size: tuple[int, int], port: int = 0) -> None:
        stream = {"model": model, "heads": [head.to_json() for head in heads], "parts": player.describe(layout)}
        self._hello = orjson.dumps(stream | {"size": size}).decode()
        self._port, self._token = port, new_token()
        self._latest, self._version, self._clients = "", 0, 0
        self._loop, self._updated = asyncio.new_event_loop(), asyncio.Event()

    @property
    def address(self) -> str:
        """Address of the page, with the token."""
        return f"http://{HOST}:{self._port}/?token={self._token}"

    def __enter__(self) -> "LivePage":
        listening = listen(self._port)
        self._port = listening.getsockname()[1]
        self._server = server(self._app(), ws_max_size=1024, ws_per_message_deflate=False)
        serving = self._server.serve(sockets=[listening])
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=[serving], daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(5)

    def publish(self, frame: LiveFrame) -> None:
        """Send a frame to all clients that are ready."""
        people = [
            {
                "name": one.name,
                "seen": one.seen,
                "points": one.keypoints.ravel().round(2),
                "outputs": {name: values.round(4) for name, values in one.outputs.items()},
            }
            for one in frame.people
        ]
        facts = {"video": frame.video, "number": frame.number, "time": frame.time, "latency": frame.latency}
        text = orjson.dumps({**facts, "people": people}, option=orjson.OPT_SERIALIZE_NUMPY).decode()
        self._loop.call_soon_threadsafe(self._update, text)

    def _update(self, text: str) -> None:
        self._latest, self._version = text, self._version + 1
        self._updated.set()
        self._updated = asyncio.Event()

    def _app(self) -> Starlette:
        nonce = secrets.token_urlsafe(16)
        page = files("skelemo.view").joinpath("live_page.html").read_text("utf-8")
        page = page.replace("NONCE", nonce).replace("SKELETON", player.script("skeleton.js", "tracks.js"))
        policy = (
            f"script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src data:; "
            f"connect-src 'self' ws://{HOST}:{self._port} ws://localhost:{self._port}"
        )
        guard = Middleware(Guard, port=self._port, token=self._token, policy=policy)
        routes = [Route("/", lambda _: HTMLResponse(page)), WebSocketRoute("/live", self._talk)]
        return Starlette(routes=routes, middleware=[guard])

    async def _talk(self, socket: WebSocket) -> None:
        """Send the newest frame whenever there is one, to a client that answers only when it has answered the last one.

        Without answers, frames wait for a slow client in the buffers of the connection, which hold megabytes.
        """
        if self._clients >= _MOST_CLIENTS:
            return await socket.send_denial_response(PlainTextResponse("Too many clients.\n", 503))
        self._clients += 1
        await socket.accept()
        ready, answers, sent = asyncio.Event(), False, 0
        gone = asyncio.ensure_future(_disconnected(socket, ready))
        try:
            await socket.send_text(self._hello)
            while not gone.done():
                answers = answers or ready.is_set()
                if sent == self._version or (answers and not ready.is_set()):
                    awaited = self._updated if sent == self._version else ready
                    waiting = asyncio.ensure_future(awaited.wait())
                    await asyncio.wait({waiting, gone}, return_when=asyncio.FIRST_COMPLETED)
                    waiting.cancel()
                    continue
                ready.clear()
                sent = self._version
                await socket.send_text(self._latest)
        except WebSocketDisconnect:
            pass
        finally:
            gone.cancel()
            self._clients -= 1


async def _disconnected(socket: WebSocket, ready: asyncio.Event) -> None:
    """Wait for the end of a connection; any message of the client makes it ``ready`` for the next frame."""
    while (await socket.receive())["type"] != "websocket.disconnect":
        ready.set()
