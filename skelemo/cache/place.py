"""A folder at a URL, through fsspec: bounded reads, atomic uploads, errors without secrets."""

import hashlib
import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import fsspec

from skelemo.atomic import PARTIAL
from skelemo.errors import ConfigError, RemoteError, SkelemoError, os_reason

#: Bytes per read, and of the longest text.
PIECE = 1 << 20
LONGEST_TEXT = 64 << 20
#: Seconds that a transfer may take, and bytes for each further second.
PATIENCE, SLOWEST = 60.0, 10_000
#: Seconds before each retry after a transient error.
PAUSES = (0.5, 2.0, 5.0)

#: The extra of skelemo that installs the driver of a protocol.
_EXTRAS = {"s3": "s3", "s3a": "s3", "http": "http", "https": "http", "ssh": "ssh", "sftp": "ssh"}
_WEB, _SSH = ("http", "https"), ("ssh", "sftp")
#: Stores with atomic uploads.
_WHOLE_UPLOADS = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss")
_SILENCE = 30  # seconds, timeout of a server
_DAY = 24 * 3600
_PERMANENT = (PermissionError, FileNotFoundError, FileExistsError, NotADirectoryError, IsADirectoryError,
              NotImplementedError, ImportError, TypeError, ValueError, AttributeError, SkelemoError)  # fmt: skip
#: Headers that are kept on a redirect to another host.
_HARMLESS = {"accept", "accept-encoding", "host", "range", "user-agent"}

_T = TypeVar("_T")


class Place:
    """A folder at a URL. Every error is a `RemoteError` or `ConfigError` of one line without secrets.

    Parameters
    ----------
    options : for fsspec's driver of the URL's protocol.
    """

    def __init__(self, url: str, options: Mapping[str, Any] | None = None) -> None:
        self._url, self._options = url, dict(options or {})
        before, found, _ = url.partition("://")
        self.protocol = before.lower() if found else "file"
        self.shown = shown(url)
        if "::" in url:
            raise ConfigError("the URL has '::' in it, by which fsspec chains file systems: expected one place's URL")
        if self.protocol in _WEB:
            self._options.setdefault("get_client", _WebClient(url))
        elif self.protocol in _SSH:
            if not self._options.setdefault("known_hosts", ()) and self._options["known_hosts"] != ():
                raise ConfigError("known_hosts: host keys are always checked; expected the path of a file")
            self._options.setdefault("connect_timeout", _SILENCE)
        elif _EXTRAS.get(self.protocol) == "s3":
            limits = {"connect_timeout": _SILENCE, "read_timeout": _SILENCE}
            self._options["config_kwargs"] = limits | self._options.get("config_kwargs", {})

    @property
    def writable(self) -> bool:
        """Whether the protocol supports writing."""
        return self.protocol not in _WEB

    @property
    def folder(self) -> Path | None:
        """The folder, if it is one of this machine's."""
        return Path(fsspec.core.strip_protocol(self._url)) if self.protocol in ("file", "local") else None

    def sizes(self) -> dict[str, int] | None:
        """File sizes by name; empty if there is no folder yet, None for HTTP, which cannot list."""
        if self.protocol in _WEB:
            return None

        def listed() -> dict[str, int]:
            fs, root = self._connect()
            fs.invalidate_cache()
            with suppress(FileNotFoundError):
                found = [one for one in fs.ls(root, detail=True) if one["type"] != "directory"]
                known = [one for one in found if isinstance(one.get("size"), int)]
                return {one["name"].rstrip("/").rpartition("/")[2]: one["size"] for one in known}
            return {}

        return self._guarded(listed)

    def text(self, name: str) -> bytes | None:
        """Read a short file; None if it does not exist."""

        def read() -> bytes:
            with self._open(name) as file:
                return b"".join(self._pieces(file, name, LONGEST_TEXT))

        try:
            return self._guarded(read)
        except RemoteError as error:
            if is_missing(error):
                return None
            raise

    def fetch(self, name: str, size: int, to: Path, moved: Callable[[int], None] = lambda _: None) -> str:
        """Download a file of known size, in bounded time; returns its SHA-256."""

        def fetched() -> str:
            digest, done = hashlib.sha256(), 0
            try:
                with self._open(name) as source, to.open("wb") as file:
                    for piece in self._pieces(source, name, size):
                        file.write(piece)
                        digest.update(piece)
                        done += len(piece)
                        moved(len(piece))
                if done < size:
                    raise ConnectionError(f"{name} ended after {done:,} of {size:,} bytes")
            except BaseException:
                moved(-done)
                raise
            return digest.hexdigest()

        return self._guarded(fetched)

    def put(self, path: Path, name: str) -> None:
        """Upload a file atomically."""
        self._upload(name, path.stat().st_size, lambda fs, target: fs.put_file(str(path), target))

    def write(self, name: str, text: bytes) -> None:
        """Replace a short file atomically."""
        self._upload(name, len(text), lambda fs, target: fs.pipe_file(target, text))

    def remove(self, name: str) -> None:
        """Remove a file if it exists."""

        def removed() -> None:
            fs, path = self._connect(name)
            with suppress(FileNotFoundError):
                fs.rm_file(path)

        self._guarded(removed)

    def sweep(self) -> None:
        """Remove abandoned uploads older than a day."""
        if self.protocol in _WHOLE_UPLOADS:
            return

        def left() -> list[str]:
            fs, root = self._connect()
            found = fs.ls(root, detail=True) if fs.exists(root) else []
            names = [(one["name"].rpartition("/")[2], _age(one)) for one in found]
            return [name for name, age in names if name.startswith(PARTIAL) and name.endswith(_PUSHED) and age > _DAY]

        for name in self._guarded(left):
            self.remove(name)

    def error(self, error: BaseException) -> RemoteError:
        """Convert an error of the driver."""
        cause = _underlying(error)
        text = os_reason(cause) if isinstance(cause, OSError) else str(cause)
        line = text.strip().partition("\n")[0] or type(cause).__name__
        return RemoteError(f"{self.shown}: {_without_secrets(line, self._url, self._options)}")

    def _connect(self, name: str = "") -> tuple[Any, str]:
        url = _inside(self._url, name) if name else self._url
        if self.protocol in _SSH:
            from sshfs import SSHFileSystem

            known = SSHFileSystem._get_kwargs_from_urls(url)
            return SSHFileSystem(**known | self._options), SSHFileSystem._strip_protocol(url)
        fs, path = fsspec.url_to_fs(url, **self._options)
        return fs, path

    @contextmanager
    def _open(self, name: str) -> Iterator[BinaryIO]:
        fs, path = self._connect(name)
        if self.protocol in _WEB:  # streamed, not held in memory; size=1 avoids a HEAD request
            headers = {**fs.kwargs.get("headers", {}), "Accept-Encoding": "identity"}
            with fs.open(path, "rb", block_size=0, size=1, headers=headers) as file:
                yield file
        else:
            with fs.open(path, "rb") as file:
                yield file

    def _pieces(self, file: BinaryIO, name: str, most: int) -> Iterator[bytes]:
        """Yield the file's bytes; fails beyond ``most`` of them, or if they arrive too slowly."""
        begun, done = time.monotonic(), 0
        while piece := file.read(min(PIECE, most + 1 - done)):
            done += len(piece)
            if done > most:
                raise RemoteError(f"{self.shown}/{name}: longer than the {most:,} bytes that it should have at most")
            if time.monotonic() - begun > PATIENCE + done / SLOWEST:
                raise RemoteError(f"{self.shown}/{name}: too slow: {done:,} bytes in {time.monotonic() - begun:.0f} s")
            yield piece

    def _upload(self, name: str, size: int, write: Callable[[Any, str], object]) -> None:
        def uploaded() -> None:
            fs, target = self._connect(name)
            if self.protocol in _WHOLE_UPLOADS:
                write(fs, target)
                return
            folder = target.rpartition("/")[0]
            partial = f"{folder}/{PARTIAL}{uuid.uuid4().hex}{_PUSHED}"
            fs.makedirs(folder, exist_ok=True)
            try:
                write(fs, partial)
                if (arrived := fs.info(partial)["size"]) != size:
                    raise ConnectionError(f"{name} arrived with {arrived:,} of {size:,} bytes")
                fs.mv(partial, target)
            except BaseException:
                with suppress(Exception):
                    fs.rm_file(partial)
                raise

        self._guarded(uploaded)

    def _guarded(self, action: Callable[[], _T]) -> _T:
        """Run an action with retries on transient errors; other errors become a `RemoteError`."""
        for pause in (*PAUSES, None):
            try:
                return action()
            except ImportError as error:
                extra = _EXTRAS.get(self.protocol)
                remedy = f"pip install 'skelemo[{extra}]'" if extra else str(error)
                raise ConfigError(f"{self.shown}: the driver for {self.protocol}:// is missing: {remedy}") from None
            except SkelemoError:
                raise
            except Exception as error:
                if "rotocol not known" in str(error):
                    raise ConfigError(f"{self.shown}: fsspec has no protocol {self.protocol}://") from None
                if pause is None or not _may_pass(error):
                    raise self.error(error) from error
                with suppress(Exception):
                    self._connect()[0].clear_instance_cache()  # the next attempt opens a new connection
                time.sleep(pause)
        raise AssertionError("unreachable")


_PUSHED = ".push"


def shown(url: str) -> str:
    """A URL, even a malformed one, without user, password, parameters and query."""
    scheme, found, rest = url.partition("://")
    if not found:
        return url
    rest = re.split("[?#;]", rest.rpartition("@")[2])[0].rstrip("/")
    host, slash, path = rest.partition("/")
    if ":" in host and not host.partition(":")[2].isdecimal() and not host.startswith("["):
        host = "…"  # a password without its @
    return f"{scheme}://{host}{slash}{path}"


def is_missing(error: RemoteError) -> bool:
    """Whether the file does not exist or may not be accessed."""
    cause = _underlying(error.__cause__ or error)
    return isinstance(cause, FileNotFoundError) or getattr(cause, "status", 0) in (403, 404, 405, 410)


def _without_secrets(text: str, url: str, options: Mapping[str, Any]) -> str:
    secrets = [value for key, value in _texts(options) if _SECRET.search(key)]
    rest = url.partition("://")[2]
    user, at, _ = rest.rpartition("@")
    if at:
        secrets += [user, *re.split(r"[:/?#;&=]", user)[1:]]
    secrets += re.split("[?#;]", rest, maxsplit=1)[1:]
    secrets += [part for one in secrets for part in re.split(r"[?#;&=]", one)[1:]]
    for secret in sorted({form for one in secrets for form in (one, unquote(one), quote(one, safe=""))}, key=len)[::-1]:
        if len(secret) > 2:
            text = text.replace(secret, "…")
    text = re.sub(r"(://)[^/\s]*@", r"\1", text)
    return re.sub(r"[?;][^\s'\")]*", "", text)[:240]


_SECRET = re.compile("pass|secret|token|key|credential|auth|sig|account|header|cookie", re.IGNORECASE)


def _texts(options: Mapping[str, Any], key: str = "") -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name, value in options.items():
        found += _texts(value, f"{key} {name}") if isinstance(value, Mapping) else [(f"{key} {name}", str(value))]
    return found


def _inside(url: str, name: str) -> str:
    """URL of a file in a folder; a query, such as a signature, is kept."""
    if not url.lower().startswith(("http://", "https://")):
        return f"{url.rstrip('/')}/{name}"
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, f"{parts.path.rstrip('/')}/{name}", parts.query, ""))


def _underlying(error: BaseException) -> BaseException:
    """The cause of an error: fsspec reports any failed HTTP request as a missing file."""
    cause = error.__cause__
    of_the_web = isinstance(error, FileNotFoundError) and type(cause).__module__.partition(".")[0] == "aiohttp"
    return cause if cause is not None and of_the_web else error


def _may_pass(error: BaseException) -> bool:
    error = _underlying(error)
    status = getattr(error, "status", None)
    if isinstance(status, int) and 400 <= status < 500:
        return status in (408, 425, 429)
    name = type(error).__name__
    return not isinstance(error, _PERMANENT) and not re.search(
        "Credential|Authentication|PermissionDenied|HostKey", name
    )


def _age(entry: Mapping[str, Any]) -> float:
    touched = entry.get("mtime")
    if isinstance(touched, datetime):
        touched = touched.timestamp()
    return time.time() - touched if isinstance(touched, int | float) else 0.0


@dataclass(frozen=True)
class _WebClient:
    """Creates HTTP clients with timeouts that send the user's headers to one origin only."""

    url: str

    async def __call__(self, loop: Any, **settings: Any) -> Any:
        """fsspec's ``get_client``."""
        import aiohttp
        from yarl import URL

        origin = URL(self.url).origin()

        async def one_origin(request: Any, handler: Any) -> Any:
            if request.url.origin() != origin:
                for name in {*request.headers} - {one for one in request.headers if one.lower() in _HARMLESS}:
                    del request.headers[name]
            return await handler(request)

        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_SILENCE, sock_read=_SILENCE)
        return aiohttp.ClientSession(middlewares=[one_origin], **{"timeout": timeout, **settings})
