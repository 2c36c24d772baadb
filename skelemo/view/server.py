"""The server of ``skelemo view``, bound to loopback, and the authorization that it shares with the live page.

A request needs the token and must not come from a page of another origin.
"""

import hmac
import secrets
import socket
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from skelemo.errors import ConfigError, InputError, os_reason

if TYPE_CHECKING:
    from skelemo.view.viewer import Viewer

HOST = "127.0.0.1"


def serve(viewer: "Viewer", port: int, ready: Callable[[str], None]) -> None:
    """Serve until interrupted; ``ready`` is called with the page's address, including the token.

    Raises `ConfigError`: Starlette or uvicorn is not installed; `InputError`: the port is in use.
    """
    try:
        import uvicorn

        from skelemo.view.app import make_app
    except ImportError:
        raise ConfigError("the viewer needs the packages starlette and uvicorn: pip install 'skelemo[view]'") from None
    token = new_token()
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((HOST, port))
            listening.listen(128)  # early requests wait for the server
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
    """A random token."""
    return secrets.token_urlsafe(24)


def refusal(headers: Mapping[str, str], given: str, port: int, token: str) -> str:
    """The reason to reject a request, or "".

    Requests from pages of another origin, or to another host name (DNS rebinding), are rejected before the token is
    compared.
    """
    hosts = {f"{name}:{port}" for name in (HOST, "localhost")}
    origin, host = headers.get("Origin"), headers.get("Host", "")
    if host not in hosts or (origin is not None and origin.removeprefix("http://") not in hosts):
        return "Wrong origin: open the address that skelemo printed.\n"
    if not hmac.compare_digest(given.encode(), token.encode()):
        return "Wrong token: open the address that skelemo printed.\n"
    return ""


def security_headers(policy: str) -> dict[str, str]:
    """Headers of every response; ``policy`` defines what the page may load and connect to."""
    return {
        "Content-Security-Policy": f"default-src 'none'; {policy}; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
