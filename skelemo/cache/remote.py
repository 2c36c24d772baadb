"""A folder at a URL, through fsspec: bounded reads, atomic uploads, errors without secrets."""

import hashlib
import re
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, BinaryIO, Concatenate, ParamSpec, TypeVar
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import fsspec

from skelemo.atomic import PARTIAL
from skelemo.errors import ConfigError, RemoteError, SkelemoError, os_reason

#: Bytes per read, and of the longest text file.
BLOCK = 1 << 20
MAX_TEXT = 64 << 20
#: A transfer times out after this many seconds, plus one for as many bytes.
TIMEOUT, MIN_RATE = 60.0, 10_000
#: Seconds before each retry after a transient error.
PAUSES = (0.5, 2.0, 5.0)

#: The extra of skelemo that installs the driver of a protocol.
_EXTRAS = {"s3": "s3", "s3a": "s3", "http": "http", "https": "http", "ssh": "ssh", "sftp": "ssh"}
_HTTP, _SSH = ("http", "https"), ("ssh", "sftp")
#: Protocols with atomic uploads.
_OBJECT_STORES = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss")
_SERVER_TIMEOUT = 30  # seconds
_PERMANENT = (PermissionError, FileNotFoundError, FileExistsError, NotADirectoryError, IsADirectoryError,
              NotImplementedError, ImportError, TypeError, ValueError, AttributeError, SkelemoError)  # fmt: skip
#: Headers kept on a redirect to another host.
_PUBLIC_HEADERS = {"accept", "accept-encoding", "host", "range", "user-agent"}

_P = ParamSpec("_P")
_T = TypeVar("_T")


def _retried(action: Callable[Concatenate["Remote", _P], _T]) -> Callable[Concatenate["Remote", _P], _T]:
    """Retry a method on transient errors; other errors become a `RemoteError`."""

    @wraps(action)
    def retrying(self: "Remote", /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        for pause in (*PAUSES, None):
            try:
                return action(self, *args, **kwargs)
            except ImportError as error:
                extra = _EXTRAS.get(self.protocol)
                remedy = f"pip install 'skelemo[{extra}]'" if extra else str(error)
                raise ConfigError(f"{self.label}: no driver for {self.protocol}:// is installed: {remedy}") from None
            except SkelemoError:
                raise
            except Exception as error:
                if "rotocol not known" in str(error):
                    raise ConfigError(f"{self.label}: fsspec does not support {self.protocol}://") from None
                if pause is None or not _is_transient(error):
                    raise self.error(error) from error
                with suppress(Exception):
                    self._connect()[0].clear_instance_cache()  # the next attempt opens a new connection
                time.sleep(pause)
        raise AssertionError("unreachable")

    return retrying


class Remote:
    """A folder at a URL. Every error is a `RemoteError` or `ConfigError` of one line without secrets.

    fsspec's configuration applies to the URL's protocol, except for timeouts and SSH's known hosts.
    """

    def __init__(self, url: str) -> None:
        self._url, self._options = url, dict[str, Any]()
        scheme, separator, _ = url.partition("://")
        self.protocol = scheme.lower() if separator else "file"
        self.label = redacted(url)
        if "::" in url:
            raise ConfigError("the URL contains '::', fsspec's separator of chained file systems: expected one URL")
        if self.protocol in _HTTP:
            self._options["get_client"] = _HttpClient(url)
        elif self.protocol in _SSH:
            self._options = {"known_hosts": (), "connect_timeout": _SERVER_TIMEOUT}  # (): ~/.ssh/known_hosts
        elif _EXTRAS.get(self.protocol) == "s3":
            limits = {"connect_timeout": _SERVER_TIMEOUT, "read_timeout": _SERVER_TIMEOUT}
            self._options["config_kwargs"] = fsspec.config.conf.get("s3", {}).get("config_kwargs", {}) | limits

    @property
    def writable(self) -> bool:
        """Whether the protocol supports writing."""
        return self.protocol not in _HTTP

    @property
    def folder(self) -> Path | None:
        """The folder, if it is local."""
        return Path(fsspec.core.strip_protocol(self._url)) if self.protocol in ("file", "local") else None

    @_retried
    def sizes(self) -> dict[str, int] | None:
        """File sizes by name; empty if the folder does not exist, None for HTTP, which cannot list."""
        if self.protocol in _HTTP:
            return None
        fs, root = self._connect()
        fs.invalidate_cache()
        with suppress(FileNotFoundError):
            return {
                entry["name"].rstrip("/").rpartition("/")[2]: entry["size"]
                for entry in fs.ls(root, detail=True)
                if entry["type"] != "directory" and isinstance(entry.get("size"), int)
            }
        return {}

    def read(self, name: str) -> bytes | None:
        """Read a short file; None if it does not exist."""
        try:
            return self._read(name)
        except RemoteError as error:
            if is_missing(error):
                return None
            raise

    @_retried
    def fetch(self, name: str, size: int, to: Path, progress: Callable[[int], None] = lambda _: None) -> str:
        """Download a file of known size, within a time limit; returns its SHA-256."""
        digest, done = hashlib.sha256(), 0
        try:
            with self._open(name) as source, to.open("wb") as file:
                for block in self._blocks(source, name, size):
                    file.write(block)
                    digest.update(block)
                    done += len(block)
                    progress(len(block))
            if done < size:
                raise ConnectionError(f"{name} was truncated after {done:,} of {size:,} bytes")
        except BaseException:
            progress(-done)
            raise
        return digest.hexdigest()

    def put(self, path: Path, name: str) -> None:
        """Upload a file atomically."""
        self._upload(name, path.stat().st_size, lambda fs, target: fs.put_file(str(path), target))

    def write(self, name: str, text: bytes) -> None:
        """Replace a short file atomically."""
        self._upload(name, len(text), lambda fs, target: fs.pipe_file(target, text))

    @_retried
    def remove(self, name: str) -> None:
        """Remove a file if it exists."""
        fs, path = self._connect(name)
        with suppress(FileNotFoundError):
            fs.rm_file(path)

    def error(self, error: BaseException) -> RemoteError:
        """Convert a driver's error to one line without secrets."""
        cause = _underlying(error)
        text = os_reason(cause) if isinstance(cause, OSError) else str(cause)
        line = text.strip().partition("\n")[0] or type(cause).__name__
        return RemoteError(f"{self.label}: {_without_secrets(line, self._url)}")

    def _connect(self, name: str = "") -> tuple[Any, str]:
        url = _url_in(self._url, name) if name else self._url
        if self.protocol in _SSH:
            from sshfs import SSHFileSystem

            options = SSHFileSystem._get_kwargs_from_urls(url) | self._options
            return SSHFileSystem(**options), SSHFileSystem._strip_protocol(url)
        fs, path = fsspec.url_to_fs(url, **self._options)
        return fs, path

    @contextmanager
    def _open(self, name: str) -> Iterator[BinaryIO]:
        fs, path = self._connect(name)
        if self.protocol in _HTTP:  # streamed, not held in memory; size=1 avoids a HEAD request
            headers = {**fs.kwargs.get("headers", {}), "Accept-Encoding": "identity"}
            with fs.open(path, "rb", block_size=0, size=1, headers=headers) as file:
                yield file
        else:
            with fs.open(path, "rb") as file:
                yield file

    @_retried
    def _read(self, name: str) -> bytes:
        with self._open(name) as file:
            return b"".join(self._blocks(file, name, MAX_TEXT))

    def _blocks(self, file: BinaryIO, name: str, most: int) -> Iterator[bytes]:
        """Yield the file's bytes; raises `RemoteError` beyond ``most`` bytes, or if the transfer times out."""
        start, done = time.monotonic(), 0
        while block := file.read(min(BLOCK, most + 1 - done)):
            done += len(block)
            if done > most:
                raise RemoteError(f"{self.label}/{name}: more than the expected {most:,} bytes")
            if (elapsed := time.monotonic() - start) > TIMEOUT + done / MIN_RATE:
                raise RemoteError(f"{self.label}/{name}: too slow: {done:,} bytes in {elapsed:.0f} s")
            yield block

    @_retried
    def _upload(self, name: str, size: int, write: Callable[[Any, str], object]) -> None:
        fs, target = self._connect(name)
        if self.protocol in _OBJECT_STORES:
            write(fs, target)
            return
        folder = target.rpartition("/")[0]
        partial = f"{folder}/{PARTIAL}{uuid.uuid4().hex}"
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


def redacted(url: str) -> str:
    """A URL, even a malformed one, without user, password, parameters and query."""
    scheme, separator, rest = url.partition("://")
    if not separator:
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


def _without_secrets(text: str, url: str) -> str:
    secrets: list[str] = []
    rest = url.partition("://")[2]
    user, at, _ = rest.rpartition("@")
    if at:
        secrets += [user, *re.split(r"[:/?#;&=]", user)[1:]]
    secrets += re.split("[?#;]", rest, maxsplit=1)[1:]
    secrets += [word for secret in secrets for word in re.split(r"[?#;&=]", secret)[1:]]
    spellings = {form for secret in secrets for form in (secret, unquote(secret), quote(secret, safe=""))}
    for spelling in sorted(spellings, key=len, reverse=True):
        if len(spelling) > 2:
            text = text.replace(spelling, "…")
    text = re.sub(r"(://)[^/\s]*@", r"\1", text)
    return re.sub(r"[?;][^\s'\")]*", "", text)[:240]


def _url_in(url: str, name: str) -> str:
    """URL of a file in a folder; keeps a query, such as a signature."""
    if not url.lower().startswith(("http://", "https://")):
        return f"{url.rstrip('/')}/{name}"
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, f"{parts.path.rstrip('/')}/{name}", parts.query, ""))


def _underlying(error: BaseException) -> BaseException:
    """The cause of an error: fsspec reports any failed HTTP request as a missing file."""
    cause = error.__cause__
    over_http = isinstance(error, FileNotFoundError) and type(cause).__module__.partition(".")[0] == "aiohttp"
    return cause if cause is not None and over_http else error


def _is_transient(error: BaseException) -> bool:
    error = _underlying(error)
    status = getattr(error, "status", None)
    if isinstance(status, int) and 400 <= status < 500:
        return status in (408, 425, 429)
    refused = re.search("Credential|Authentication|PermissionDenied|HostKey", type(error).__name__)
    return not refused and not isinstance(error, _PERMANENT)


@dataclass(frozen=True)
class _HttpClient:
    """Creates HTTP clients with timeouts, which send the user's headers to one origin only."""

    url: str

    async def __call__(self, loop: Any, **settings: Any) -> Any:
        """fsspec's ``get_client``."""
        import aiohttp
        from yarl import URL

        origin = URL(self.url).origin()

        async def one_origin(request: Any, handler: Any) -> Any:
            if request.url.origin() != origin:
                for name in {name for name in request.headers if name.lower() not in _PUBLIC_HEADERS}:
                    del request.headers[name]
            return await handler(request)

        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_SERVER_TIMEOUT, sock_read=_SERVER_TIMEOUT)
        return aiohttp.ClientSession(middlewares=[one_origin], **{"timeout": timeout, **settings})
