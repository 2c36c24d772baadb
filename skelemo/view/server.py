"""What the servers of ``skelemo view`` and ``skelemo live`` share: they are bound to loopback and need a token."""

import hmac
import secrets
import socket
from typing import Any

import uvicorn
from starlette.datastructures import Headers, QueryParams
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from skelemo.errors import InputError, os_reason

HOST = "127.0.0.1"


def new_token() -> str:
    """A random token."""
    return secrets.token_urlsafe(24)


def listen(port: int) -> socket.socket:
    """A socket on loopback, where early requests wait for the server. Raises `InputError`: the port is in use."""
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
        listening.listen(128)
    except OSError as error:
        listening.close()
        raise InputError(f"port {port} of {HOST} cannot be used: {os_reason(error)}") from None
    return listening


def server(app: ASGIApp, **settings: Any) -> uvicorn.Server:
    """A server that prints nothing."""
    silent: dict[str, Any] = {"log_config": None, "access_log": False, "server_header": False, "lifespan": "off"}
    return uvicorn.Server(uvicorn.Config(app, **silent, **settings))


class Guard:
    """Middleware that rejects unauthorized requests and adds security headers to every response.

    A request needs the token and must not come from a page of another origin.

    Parameters
    ----------
    policy : what the page may load and connect to.
    """

    def __init__(self, app: ASGIApp, port: int, token: str, policy: str) -> None:
        self.app, self.hosts, self.token = app, {f"{name}:{port}" for name in (HOST, "localhost")}, token
        self.headers = [
            (b"content-security-policy", f"default-src 'none'; {policy}; base-uri 'none'; form-action 'none'; "
             "frame-ancestors 'none'".encode()),
            (b"referrer-policy", b"no-referrer"),
            (b"x-content-type-options", b"nosniff"),
            (b"cache-control", b"no-store"),
        ]  # fmt: skip

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to one connection."""
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        reason = self.refusal(Headers(scope=scope), QueryParams(scope["query_string"]).get("token", ""))
        response = PlainTextResponse(reason, 403) if reason else self.app

        async def send_with_headers(message: Message) -> None:
            if message["type"].endswith("http.response.start"):
                message["headers"] += self.headers
            await send(message)

        await response(scope, receive, send_with_headers)

    def refusal(self, headers: Headers, token: str) -> str:
        """The reason to reject a request, or "".

        Requests from pages of another origin, or to another host name (DNS rebinding), are rejected before the token is
        compared.
        """
        origin = headers.get("Origin")
        if headers.get("Host") not in self.hosts or not (
            origin is None or origin.removeprefix("http://") in self.hosts
        ):
            return "Wrong origin: open the address that skelemo printed.\n"
        if not hmac.compare_digest(token.encode(), self.token.encode()):
            return "Wrong token: open the address that skelemo printed.\n"
        return ""
