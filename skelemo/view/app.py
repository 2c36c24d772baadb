"""The web application of ``skelemo view``: the page, its static files and its JSON API.

`Guard` authorizes every request. Static files are looked up in a fixed table, never as a path.
"""

import secrets
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Route

from skelemo import player
from skelemo.errors import ConfigError, SkelemoError, os_reason
from skelemo.view.server import HOST, Guard, listen, new_token, server
from skelemo.view.viewer import Viewer

#: Static files and their types.
STATIC = {
    "view.css": "text/css",
    **{f"{name}.js": "text/javascript" for name in ("app", "corrections", "data", "plane", "queue", "sequences")},
}
_MAX_BODY = 64 << 10


def serve(viewer: Viewer, port: int, ready: Callable[[str], None]) -> None:
    """Serve until interrupted; ``ready`` is called with the page's address, including the token.

    Raises `InputError`: the port is in use.
    """
    token = new_token()
    with listen(port) as listening:
        port = listening.getsockname()[1]
        app = make_app(viewer, port, token)
        ready(f"http://{HOST}:{port}/?token={token}")
        server(app, ws="none").run(sockets=[listening])


def make_app(viewer: Viewer, port: int, token: str) -> Starlette:
    """The application, for a server that listens on that port."""
    nonce = secrets.token_urlsafe(16)
    policy = (
        f"script-src 'self' 'nonce-{nonce}'; style-src 'self' 'nonce-{nonce}'; img-src data:; media-src 'self'; "
        "connect-src 'self'"
    )
    page, static = _page(token, nonce), {name: _read(name) for name in STATIC}

    def static_file(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in static:
            raise HTTPException(404, "Not found.")
        return Response(static[name], media_type=STATIC[name])

    routes = [Route("/", lambda _: HTMLResponse(page)), Route("/static/{name}", static_file), *_Api(viewer).routes()]
    guard = Middleware(Guard, port=port, token=token, policy=policy)
    return Starlette(
        routes=routes, middleware=[guard], exception_handlers={SkelemoError: _on_error, OSError: _on_error}
    )


class _Api:
    """Responses with content from the viewer."""

    def __init__(self, viewer: Viewer) -> None:
        self.viewer = viewer

    def routes(self) -> list[Route]:
        viewer = self.viewer
        return [
            Route("/api/cache", lambda _: _json(viewer.about())),
            Route("/api/queue", lambda _: _json(viewer.suspects())),
            Route("/api/sequences", lambda request: _json(viewer.sequences(request.query_params))),
            Route("/api/sequence/{row:int}", lambda request: _json(viewer.sequence(self._row(request)))),
            Route("/api/frames/{row:int}", self.frames),
            Route("/api/film/{row:int}", self.film),
            Route("/api/corrections/{row:int}", lambda request: _json(viewer.corrections(self._row(request)))),
            Route("/api/corrections/{row:int}", self.correct, methods=["POST"]),
        ]

    def frames(self, request: Request) -> Response:
        array = self.viewer.keypoints(self._row(request), request.query_params)
        return Response(array.astype("<f4", copy=False).tobytes(), media_type="application/octet-stream")

    def film(self, request: Request) -> Response:
        path = self.viewer.videos.get(self.viewer.frames.facts(self._row(request))["video"])
        if path is None:
            raise HTTPException(404, "no video")
        return FileResponse(path)

    async def correct(self, request: Request) -> Response:
        row, body = self._row(request), b""
        if request.headers.get("content-type") != "application/json":
            raise HTTPException(415, "expected JSON")
        async for chunk in request.stream():
            body += chunk
            if len(body) > _MAX_BODY:
                raise HTTPException(413, "too long")
        try:
            fields = orjson.loads(body)
        except orjson.JSONDecodeError:
            fields = None
        if not isinstance(fields, dict):
            raise HTTPException(400, "expected a JSON object")
        return _json(await run_in_threadpool(self.viewer.correct, row, fields))

    def _row(self, request: Request) -> int:
        row = int(request.path_params["row"])
        if row >= len(self.viewer.cache.sequences):
            raise HTTPException(404, "no such sequence")
        return row


def _page(token: str, nonce: str) -> str:
    modules = {f"skelemo/{name}": f"/static/{name}?token={token}" for name in STATIC if name.endswith(".js")}
    page = _read("view.html").replace("ASSETS", player.assets(nonce)).replace("NONCE", nonce).replace("TOKEN", token)
    return page.replace("IMPORTS", orjson.dumps({"imports": modules}).decode())


def _read(name: str) -> str:
    return files("skelemo.view").joinpath("static", name).read_text("utf-8")


def _json(content: Any, status: int = 200) -> Response:
    text = orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)
    return Response(text, status, media_type="application/json")


def _on_error(_: Request, error: Exception) -> Response:
    text = f"{error.filename}: {os_reason(error)}" if isinstance(error, OSError) else str(error)
    return _json({"error": text}, 400 if isinstance(error, ConfigError) else 500)
