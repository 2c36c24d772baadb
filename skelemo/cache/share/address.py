"""URLs that carry secrets, options that drivers take, and what of both may be shown."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from skelemo.atomic import PARTIAL
from skelemo.errors import ConfigError

#: The extra of skelemo that brings the driver of a protocol.
EXTRAS = {"s3": "s3", "s3a": "s3", "http": "http", "https": "http", "ssh": "ssh", "sftp": "ssh"}

_LONGEST_REASON = 240
_SECRET = re.compile("pass|secret|token|key|credential|auth|sig|account", re.IGNORECASE)


def protocol(url: str) -> str:
    """What stands before ``://``; ``file`` where nothing does."""
    before, found, _ = url.partition("://")
    return before.lower() if found else "file"


def shown(url: str) -> str:
    """The URL without user, password and query, which may let somebody in."""
    if "://" not in url:
        return url
    try:
        parts = urlsplit(url)
    except ValueError:
        return f"{protocol(url)}://…"
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))


def inside(url: str, name: str) -> str:
    """The URL of a file in the folder that a URL names; a query (a signature, say) stays behind it."""
    if protocol(url) not in ("http", "https"):
        return f"{url.rstrip('/')}/{name}"
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, f"{parts.path.rstrip('/')}/{name}", parts.query, ""))


def reason(error: BaseException, url: str, options: Mapping[str, Any]) -> str:
    """What an error says, in one line and without a secret."""
    text = _said(error, url).strip().partition("\n")[0] or type(error).__name__
    secrets = [value for key, value in _texts(options) if _SECRET.search(key) and len(value) > 2]
    secrets += _secrets_of(url)
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "…")
    text = re.sub(r"(://)[^/\s@]*@", r"\1", text)
    text = re.sub(r"\?[^\s'\")]*", "", text)
    return text[:_LONGEST_REASON]


def _said(error: BaseException, url: str) -> str:
    """An error; one of a file without its number, and without a name that stands before it or is soon another."""
    if not (isinstance(error, OSError) and error.strerror and error.filename):
        return str(error)
    file = str(error.filename2 or error.filename)
    return error.strerror if file == url or PARTIAL in file else f"{error.strerror}: {file}"


def read_options(expressions: Iterable[str]) -> dict[str, Any]:
    """Options of a driver from ``KEY=VALUE``; numbers, true, false and objects are read as JSON, all else is text.

    Raises
    ------
    ConfigError
        An expression is something else. It is not repeated: it may be a secret.
    """
    options: dict[str, Any] = {}
    for expression in expressions:
        key, equals, value = expression.partition("=")
        if not (key and equals):
            raise ConfigError("--storage-option: expected KEY=VALUE, as in endpoint_url=http://localhost:9000")
        try:
            found = json.loads(value)
        except ValueError:
            found = value
        options[key] = value if found is None or isinstance(found, str) else found
    return options


def _secrets_of(url: str) -> list[str]:
    try:
        parts = urlsplit(url)
    except ValueError:
        return []
    return [text for text in (parts.password, parts.query) if text]


def _texts(options: Mapping[str, Any]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for key, value in options.items():
        found += _texts(value) if isinstance(value, Mapping) else [(key, str(value))]
    return found
