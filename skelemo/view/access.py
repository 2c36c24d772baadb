"""Who may use the pages that skelemo serves: on loopback, by a token in the address, no page of another origin."""

import hmac
import secrets
from collections.abc import Mapping

HOST = "127.0.0.1"


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
