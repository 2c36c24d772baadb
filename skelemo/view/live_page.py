"""The page of ``skelemo live``: served on loopback, protected by a token.

A thread runs a WebSocket server that also serves the page. A slow client skips frames and always gets the newest one.
"""

import asyncio
import secrets
import threading
from collections.abc import Sequence
from http import HTTPStatus
from importlib.resources import files
from types import TracebackType
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import orjson

from skelemo import player
from skelemo.errors import ConfigError, InputError, os_reason
from skelemo.inference.live import LiveFrame
from skelemo.skeleton import Layout
from skelemo.targets import Head
from skelemo.view.server import HOST, new_token, refusal, security_headers

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection
    from websockets.http11 import Request, Response

#: Maximum number of clients.
_MOST_CLIENTS = 16


class LivePage:
    """Context manager that serves the page and the published frames.

    Messages are JSON. The first describes the stream: ``model``, ``heads``, ``parts`` with limbs, and image ``size``
    (0 for unknown). The others are frames: ``video``, ``number``, ``time``, ``latency``, and ``people`` with ``name``,
    ``seen``, ``points`` (flattened x, y, confidence) and ``outputs`` by head.

    Raises `ConfigError`: the package websockets is not installed; `InputError`: the port is in use.

    Parameters
    ----------
    port : 0 for any free port.
    """

    def __init__(self, model: str, heads: Sequence[Head], layout: Layout, size: tuple[int, int], port: int = 0) -> None:
        stream = {"model": model, "heads": [head.to_json() for head in heads], "parts": player.describe(layout)}
        self._hello = orjson.dumps(stream | {"size": size}).decode()
        self._port = port
        self._token = new_token()
        self._nonce = secrets.token_urlsafe(16)
        self._page = files("skelemo.view").joinpath("live_page.html").read_text("utf-8")
        self._page = self._page.replace("NONCE", self._nonce).replace("SKELETON", player.script("skeleton.js"))
        self._latest = ""
        self._version = self._clients = 0
        self._failure: Exception | None = None
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()

    @property
    def address(self) -> str:
        """Address of the page, with the token."""
        return f"http://{HOST}:{self._port}/?token={self._token}"

    def __enter__(self) -> "LivePage":
        try:
            import websockets.asyncio.server  # noqa: F401
        except ImportError:
            raise ConfigError("the page needs the package websockets: pip install 'skelemo[live]'") from None
        self._thread = threading.Thread(target=self._run, name="live page", daemon=True)
        self._thread.start()
        self._ready.wait()
        if isinstance(self._failure, OSError):
            raise InputError(f"port {self._port} of {HOST} cannot be used: {os_reason(self._failure)}")
        if self._failure:
            raise self._failure
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._failure:
            self._loop.call_soon_threadsafe(self._stop.set)
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

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        except Exception as error:
            self._failure = error
        finally:
            self._ready.set()
            self._loop.close()

    async def _serve(self) -> None:
        from websockets.asyncio.server import serve

        self._stop, self._updated = asyncio.Event(), asyncio.Event()
        async with serve(
            self._talk,
            HOST,
            self._port,
            process_request=self._admit,
            compression=None,
            max_size=1024,
            server_header=None,
        ) as server:
            self._port = next(iter(server.sockets)).getsockname()[1]
            self._ready.set()
            await self._stop.wait()

    def _update(self, text: str) -> None:
        self._latest, self._version = text, self._version + 1
        self._updated.set()
        self._updated = asyncio.Event()

    async def _talk(self, connection: "ServerConnection") -> None:
        """Send the newest frame whenever there is one."""
        from websockets.exceptions import ConnectionClosed

        self._clients += 1
        gone = asyncio.ensure_future(connection.wait_closed())
        sent = 0
        try:
            await connection.send(self._hello)
            while not gone.done():
                if sent == self._version:
                    updated = asyncio.ensure_future(self._updated.wait())
                    await asyncio.wait({updated, gone}, return_when=asyncio.FIRST_COMPLETED)
                    updated.cancel()
                    continue
                sent = self._version
                await connection.send(self._latest)
        except ConnectionClosed:
            pass
        finally:
            gone.cancel()
            self._clients -= 1

    def _admit(self, connection: "ServerConnection", request: "Request") -> "Response | None":
        """The page, an error, or None to accept a WebSocket."""
        address = urlsplit(request.path)
        given = parse_qs(address.query).get("token", [""])[-1]
        if reason := refusal(request.headers, given, self._port, self._token):
            return connection.respond(HTTPStatus.FORBIDDEN, reason)
        if address.path == "/live":
            if self._clients >= _MOST_CLIENTS:
                return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "Too many clients.\n")
            return None
        if address.path != "/":
            return connection.respond(HTTPStatus.NOT_FOUND, "Not found.\n")
        response = connection.respond(HTTPStatus.OK, self._page)
        del response.headers["Content-Type"]
        policy = (
            f"script-src 'nonce-{self._nonce}'; style-src 'nonce-{self._nonce}'; img-src data:; "
            f"connect-src ws://{request.headers['Host']}"
        )
        response.headers.update({"Content-Type": "text/html; charset=utf-8", **security_headers(policy)})
        return response
