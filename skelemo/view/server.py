"""The server of ``skelemo view``, on loopback: every request needs the token, and no path is looked up in a folder.

Who may use a page stands at the end: what has the token, and comes from no page of another origin.
"""

import hmac
import secrets
import socket
from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import orjson

from skelemo import player
from skelemo.errors import ConfigError, InputError, SkelemoError, os_reason

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request

    from skelemo.view.viewer import Viewer

HOST = "127.0.0.1"
#: What the page loads; no other name is looked up.
STATIC = {
    "view.css": "text/css",
    **{f"{name}.js": "text/javascript" for name in ("app", "corrections", "data", "plane", "queue", "sequences")},
}
_MOST_BODY = 64 << 10
_JSON = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS


def make_app(viewer: "Viewer", port: int, token: str) -> "Starlette":
    """The application, for a server that listens on that port."""
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.datastructures import Headers, QueryParams
    from starlette.exceptions import HTTPException
    from starlette.middleware import Middleware
    from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse, Response
    from starlette.routing import Route

    nonce = secrets.token_urlsafe(16)
    own = "'self'"
    headers = guarded(
        f"script-src {own} 'nonce-{nonce}'; style-src {own} 'nonce-{nonce}'; img-src data:; media-src {own}; "
        f"connect-src {own}"
    )
    static = {name: files("skelemo.view").joinpath("static", name).read_text("utf-8") for name in STATIC}
    page = files("skelemo.view").joinpath("static", "view.html").read_text("utf-8")
    modules = {f"skelemo/{name}": f"/static/{name}?token={token}" for name in STATIC if name.endswith(".js")}
    page = page.replace("ASSETS", player.assets(nonce)).replace("NONCE", nonce).replace("TOKEN", token)
    page = page.replace("IMPORTS", orjson.dumps({"imports": modules}).decode())

    class Guard:
        """Refuses whoever is not allowed, before anything else is looked at; and adds the headers of every answer."""

        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "lifespan":
                return await self.app(scope, receive, send)
            if scope["type"] != "http":
                return await send({"type": "websocket.close", "code": 1008})
            given = QueryParams(scope["query_string"]).get("token", "")
            reason = refusal(Headers(scope=scope), given, port, token)
            answer = PlainTextResponse(reason, 403) if reason else self.app

            async def marked(message: Any) -> None:
                if message["type"] == "http.response.start":
                    message["headers"] += [(name.lower().encode(), text.encode()) for name, text in headers.items()]
                await send(message)

            await answer(scope, receive, marked)

    def json(content: Any, status: int = 200) -> Response:
        return Response(orjson.dumps(content, option=_JSON), status, media_type="application/json")

    def row_of(request: "Request") -> int:
        row = int(request.path_params["row"])
        if row >= len(viewer.cache.sequences):
            raise HTTPException(404, "no such sequence")
        return row

    def static_file(request: "Request") -> Response:
        name = request.path_params["name"]
        if name not in static:
            raise HTTPException(404, "Nothing is here.")
        return Response(static[name], media_type=STATIC[name])

    def film(request: "Request") -> Response:
        path = viewer.videos.get(viewer.frames.facts(row_of(request))["video"])
        if path is None:
            raise HTTPException(404, "no video")
        return FileResponse(path)

    def frames(request: "Request") -> Response:
        array = viewer.keypoints(row_of(request), request.query_params)
        return Response(array.astype("<f4", copy=False).tobytes(), media_type="application/octet-stream")

    async def correct(request: "Request") -> Response:
        row, body = row_of(request), b""
        if request.headers.get("content-type") != "application/json":
            raise HTTPException(415, "expected JSON")
        async for piece in request.stream():
            body += piece
            if len(body) > _MOST_BODY:
                raise HTTPException(413, "too long")
        try:
            given = orjson.loads(body)
        except orjson.JSONDecodeError:
            given = None
        if not isinstance(given, dict):
            raise HTTPException(400, "expected a JSON object")
        return json(await run_in_threadpool(viewer.correct, row, given))

    def failed(_: "Request", error: Exception) -> Response:
        text = f"{error.filename}: {os_reason(error)}" if isinstance(error, OSError) else str(error)
        return json({"error": text}, 400 if isinstance(error, ConfigError) else 500)

    routes = [
        Route("/", lambda _: HTMLResponse(page)),
        Route("/static/{name}", static_file),
        Route("/api/cache", lambda _: json(viewer.about())),
        Route("/api/queue", lambda _: json(viewer.suspects())),
        Route("/api/sequences", lambda request: json(viewer.sequences(request.query_params))),
        Route("/api/sequence/{row:int}", lambda request: json(viewer.sequence(row_of(request)))),
        Route("/api/frames/{row:int}", frames),
        Route("/api/film/{row:int}", film),
        Route("/api/corrections/{row:int}", lambda request: json(viewer.corrections(row_of(request)))),
        Route("/api/corrections/{row:int}", correct, methods=["POST"]),
    ]
    return Starlette(
        routes=routes, middleware=[Middleware(Guard)], exception_handlers={SkelemoError: failed, OSError: failed}
    )


def serve(viewer: "Viewer", port: int, ready: Callable[[str], None]) -> None:
    """Serve until interrupted; ``ready`` gets the address of the page, with its token.

    Raises
    ------
    ConfigError
        Starlette or uvicorn is not installed.
    InputError
        The port is taken.
    """
    try:
        import starlette  # noqa: F401
        import uvicorn
    except ImportError:
        raise ConfigError("the viewer needs the packages starlette and uvicorn: pip install 'skelemo[view]'") from None
    token = new_token()
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((HOST, port))
            listening.listen(128)  # whoever opens the address at once waits for the server
        except OSError as error:
            raise InputError(f"port {port} of {HOST} cannot be used: {os_reason(error)}") from None
        port = listening.getsockname()[1]
        app = make_app(viewer, port, token)
        settings = uvicorn.Config(
            app, log_config=None, access_log=False, server_header=False, ws="none", lifespan="off"
        )
        ready(f"http://{HOST}:{port}/?token={token}")
        uvicorn.Server(settings).run(sockets=[listening])


def new_token() -> str:
    """A token that nobody guesses."""
    return secrets.token_urlsafe(24)


def refusal(headers: Mapping[str, str], given: str, port: int, token: str) -> str:
    """Why a request is refused, or nothing.

    A page of another origin, and a name that somebody else's server gave this address, are refused before the token is
    looked at.
    """
    hosts = {f"{name}:{port}" for name in (HOST, "localhost")}
    origin, host = headers.get("Origin"), headers.get("Host", "")
    if host not in hosts or (origin is not None and origin.removeprefix("http://") not in hosts):
        return "Another origin: open the address that skelemo printed.\n"
    if not hmac.compare_digest(given.encode(), token.encode()):
        return "No token: open the address that skelemo printed.\n"
    return ""


def guarded(policy: str) -> dict[str, str]:
    """Headers of every answer; ``policy`` says what a page may load and connect to."""
    return {
        "Content-Security-Policy": f"default-src 'none'; {policy}; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
