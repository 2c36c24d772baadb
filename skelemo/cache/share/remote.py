"""A folder somewhere, through fsspec: listed, read in pieces, and written so that nobody sees half a file."""

import re
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar
from urllib.parse import unquote

import fsspec

from skelemo.atomic import PARTIAL, is_abandoned, owner
from skelemo.cache.shard import SUFFIX
from skelemo.cache.share import address
from skelemo.cache.share.retry import patiently, underlying
from skelemo.errors import ConfigError, RemoteError

INDEX = "index.json"
#: Bytes that are asked for at once.
PIECE = 4 << 20
#: No index, no page and no facts are longer.
LONGEST_TEXT = 64 << 20

#: Where an upload gets its name only when it is complete, so that it needs no other name until then.
_COMPLETED_UPLOADS = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss")
_WEB = ("http", "https")
_LOCAL = ("file", "local")
#: How web servers say that there is nothing, or that it is not to be seen.
_NOT_THERE = (404, 410)
_NOTHING_TO_SEE = (403, *_NOT_THERE, 405)
_SECONDS_TO_ANSWER = 30
#: Links of a page to files beside it.
_LINKS = re.compile(rb"""href=["']?([^"'/?#<>\s]+\.h5)["'\s>]""")
_NAMES = re.compile(rb"(?<![0-9a-zA-Z.\-])[0-9a-f]{20}\.(?:h5|json)(?![0-9a-zA-Z.])")

#: What tells an upload that is not finished from a pull that is to be gone on with.
_PUSHED = ".push"

_T = TypeVar("_T")


@dataclass(frozen=True)
class Listing:
    """The files that a shared cache consists of, each with its bytes, or None where the place does not tell them.

    The names are of 20 hexadecimal digits each, so that none of them leads out of the folder. ``others`` are shards by
    their suffix, but not named by their content.
    """

    sizes: Mapping[str, int | None]
    others: tuple[str, ...] = ()

    @property
    def shards(self) -> list[str]:
        """Names of shards, sorted."""
        return sorted(name for name in self.sizes if name.endswith(SUFFIX))

    def has(self, name: str, size: int) -> bool:
        """Whether a file is there, as far as its length can tell."""
        return self.sizes.get(name, -1) in (None, size)


class Remote:
    """A folder that a URL names; every error is a `RemoteError` of one line that shows no secret.

    Parameters
    ----------
    options : of fsspec's driver for the URL's protocol.
    """

    def __init__(self, url: str, options: Mapping[str, Any] | None = None) -> None:
        self._url = url
        self._options = dict(options or {})
        self._protocol = address.protocol(url)
        self._is_ssh = address.EXTRAS.get(self._protocol) == "ssh"
        if "::" in url and not self._is_ssh:  # which takes the URL to itself; this one's may hold secrets
            raise ConfigError("the URL has '::' in it, by which fsspec chains file systems: expected one place's URL")
        self.shown = address.shown(url)
        _limit_waiting(self._protocol, self._options)
        self._guarded(self._connect)

    def require_writable(self) -> None:
        """Refuse a place that can only be read."""
        if self._protocol in _WEB:
            raise RemoteError(f"{self.shown}: HTTP is read only; a folder, ssh or S3 can be pushed to")

    def listing(self) -> Listing:
        """What there is of a cache, as far as the place tells; nothing where there is no folder yet."""
        if self._protocol in _WEB:
            pages = self._pages()
            links = [unquote(link.decode(errors="replace")) for link in _LINKS.findall(pages)]
            return _listing({name.decode(): None for name in _NAMES.findall(pages)} | dict.fromkeys(links))
        return _listing({name: one["size"] if one["type"] == "file" else None for name, one in self._entries().items()})

    def size(self, name: str) -> int | None:
        """Bytes of a file, or nothing where there is none."""

        def asked() -> Any:
            fs, path = self._connect(name)
            return fs.info(path).get("size")

        try:
            found = self._guarded(asked)
        except RemoteError as error:
            if is_nothing(error):
                return None
            raise
        if not isinstance(found, int) or found < 0:
            raise RemoteError(f"{self.shown}/{name}: the server does not say how long it is")
        return found

    def text(self, name: str) -> bytes | None:
        """All of a short file, or nothing where there is none."""

        def read() -> bytes:
            if self._protocol in _WEB:
                return b"".join(self._read_web(name, 0, LONGEST_TEXT))
            fs, path = self._connect(name)
            return bytes(fs.cat_file(path, start=0, end=min(fs.info(path)["size"], LONGEST_TEXT)))

        try:
            return self._guarded(read)
        except RemoteError as error:
            if is_nothing(error):
                return None
            raise

    @contextmanager
    def file(self, name: str) -> Iterator[Path]:
        """A whole file as one on this machine: itself where it is one, else a copy that goes away again."""

        def fetched() -> Path:
            fs, path = self._connect(name)
            fs.info(path)  # which says that there is no such file before there is an empty copy of it
            if self._protocol in _LOCAL:
                return Path(path)
            fs.get_file(path, str(copy))
            return copy

        with TemporaryDirectory() as folder:
            copy = Path(folder) / name
            yield self._guarded(fetched)

    def pieces(self, name: str, first: int, last: int) -> Iterator[bytes]:
        """The bytes of a file from ``first`` to before ``last``, or the beginning of them. Errors are as they come."""
        fs, path = self._connect(name)
        if self._protocol in _WEB:
            yield from self._read_web(name, first, last)
        elif self._is_ssh:
            with fs.open(path, "rb") as file:
                file.seek(first)
                file.prefetch(last)  # a request for each 32 kB waits for the one before, else
                while first < last and (data := file.read(min(PIECE, last - first))):
                    first += len(data)
                    yield data
        else:
            for start in range(first, last, PIECE):
                yield fs.cat_file(path, start=start, end=min(start + PIECE, last))[:PIECE]

    def head(self, name: str, size: int) -> bytes:
        """The first bytes of a file, which has so many; none where it is gone."""
        try:
            return self._guarded(lambda: b"".join(self.pieces(name, 0, size)))
        except RemoteError as error:
            if is_nothing(error):
                return b""
            raise

    def put(self, path: Path, name: str, report: Callable[[int], None] = lambda _: None) -> None:
        """Upload a file; it has its name when it is whole, and not before.

        Parameters
        ----------
        report : told as bytes are sent, how many.
        """
        size = path.stat().st_size

        def sent(fs: Any, target: str) -> None:
            counted = _Counter(report)
            try:
                fs.put_file(str(path), target, callback=counted)
            except BaseException:
                report(-counted.told)
                raise
            report(size - counted.told)

        self._place(name, size, sent)

    def put_text(self, name: str, text: bytes) -> None:
        """Write a short file; whoever reads it meanwhile reads the old one or the new one."""
        self._place(name, len(text), lambda fs, target: fs.pipe_file(target, text))

    def sweep(self) -> None:
        """Remove what pushes that were killed have left unfinished."""
        if self._protocol in _COMPLETED_UPLOADS:
            return
        for name, entry in self._entries().items():
            if name.startswith(PARTIAL) and name.endswith(_PUSHED) and is_abandoned(name, _touched(entry)):
                with suppress(RemoteError):
                    self.remove(name)

    def remove(self, name: str) -> None:
        """Remove a file; that somebody else has done so is as well."""

        def removed() -> None:
            fs, path = self._connect(name)
            with suppress(FileNotFoundError):
                fs.rm_file(path)

        self._guarded(removed)

    def error(self, error: BaseException) -> RemoteError:
        """What went wrong with the place, in one line and without secrets."""
        return RemoteError(f"{self.shown}: {address.reason(underlying(error), self._url, self._options)}")

    def forget_connection(self) -> None:
        """Drop a connection that has failed, where the driver would keep it."""
        if self._is_ssh:
            _ssh().clear_instance_cache()

    def _connect(self, name: str = "") -> tuple[Any, str]:
        """The file system, for this thread if it needs one of its own, and a path in it."""
        url = address.inside(self._url, name) if name else self._url
        if self._is_ssh:
            facts = {**_ssh()._get_kwargs_from_urls(url), **self._options}
            return _ssh()(**facts), _ssh()._strip_protocol(url)
        fs, path = fsspec.url_to_fs(url, **self._options)
        if address.EXTRAS.get(self._protocol) == "s3":
            fs.retries = 1
        return fs, path

    def _guarded(self, action: Callable[[], _T]) -> _T:
        """Do something with patience, and turn what goes wrong for good into a `RemoteError`."""

        def tried() -> _T:
            try:
                return action()
            except Exception:
                self.forget_connection()
                raise

        try:
            return patiently(tried)
        except ImportError as error:
            extra = address.EXTRAS.get(self._protocol)
            remedy = f"pip install 'skelemo[{extra}]'" if extra else address.reason(error, self._url, self._options)
            raise ConfigError(f"{self.shown}: the driver for {self._protocol}:// is missing: {remedy}") from None
        except ValueError as error:
            if "rotocol not known" in str(error):
                raise ConfigError(f"{self.shown}: {self._protocol}:// is no protocol that fsspec knows") from None
            raise self.error(error) from error
        except RemoteError:
            raise
        except Exception as error:
            raise self.error(error) from error

    def _read_web(self, name: str, first: int, last: int) -> Iterator[bytes]:
        """Streamed, so that a server that sends more than was asked for fills no memory."""
        fs, path = self._connect(name)
        headers = {**fs.kwargs.get("headers", {}), "Accept-Encoding": "identity"}
        if last < LONGEST_TEXT or first:
            headers["Range"] = f"bytes={first}-{last - 1}"
        with closing(fs.open(path, "rb", block_size=0, size=1, headers=headers)) as file:
            skip = first if file.r.status == 200 else 0  # it knows no ranges
            left = last - first
            while left > 0 and (data := file.read(min(PIECE, left + skip))):
                data, skip = data[skip:], max(0, skip - len(data))
                left -= len(data)
                if data:
                    yield data

    def _entries(self) -> dict[str, Any]:
        """What fsspec says of each file in the folder, by its name."""

        def listed() -> list[Any]:
            fs, root = self._connect()
            fs.invalidate_cache()
            with suppress(FileNotFoundError):
                return list(fs.ls(root, detail=True))
            return []

        return {entry["name"].rstrip("/").rpartition("/")[2]: entry for entry in self._guarded(listed)}

    def _pages(self) -> bytes:
        """The index, and the page that a web server shows for a folder: one of them is enough."""
        index, page = self.text(INDEX), b""
        try:
            page = self._guarded(lambda: b"".join(self._read_web("", 0, LONGEST_TEXT)))
        except RemoteError as error:
            if index is None and is_nothing(error, _NOT_THERE):
                raise RemoteError(
                    f"{self.shown}: there is nothing at this address, nor {INDEX} below it: mind its spelling, or push "
                    "the cache to the folder that is served here"
                ) from error
            if index is None and not is_nothing(error):
                raise
        return (index or b"") + b"\n" + page

    def _place(self, name: str, size: int, write: Callable[[Any, str], None]) -> None:
        def placed() -> None:
            fs, target = self._connect(name)
            if self._protocol in _COMPLETED_UPLOADS:
                write(fs, target)
                return
            folder = target.rpartition("/")[0]
            partial = f"{folder}/{PARTIAL}{owner()}-{uuid.uuid4().hex[:16]}{_PUSHED}"
            try:
                fs.makedirs(folder, exist_ok=True)
            except FileExistsError:
                raise FileExistsError("it is a file, where a folder should be") from None
            try:
                write(fs, partial)
                if fs.info(partial)["size"] != size:
                    raise OSError(f"{name} arrived with {fs.info(partial)['size']} of {size} bytes")
                fs.mv(partial, target)
            except BaseException:
                with suppress(Exception):
                    fs.rm_file(partial)
                raise

        self._guarded(placed)


def _listing(sizes: Mapping[str, int | None]) -> Listing:
    known = {name: size for name, size in sizes.items() if _NAMES.fullmatch(name.encode(errors="replace"))}
    others = [name for name in sizes.keys() - known.keys() if name.endswith(SUFFIX) and not name.startswith(".")]
    return Listing(known, tuple(sorted(others)))


def _touched(entry: Mapping[str, Any]) -> float:
    """When a file was last written, in seconds since 1970; now, where the place does not tell."""
    said = entry.get("mtime")
    if isinstance(said, datetime):
        return said.timestamp()
    return float(said) if isinstance(said, int | float) else time.time()


def is_nothing(error: RemoteError, statuses: Collection[int] = _NOTHING_TO_SEE) -> bool:
    """Whether what went wrong was that there is no such file, or none to be seen."""
    cause = underlying(error.__cause__ or error)
    return isinstance(cause, FileNotFoundError) or getattr(cause, "status", 0) in statuses


class _Counter(fsspec.Callback):
    """Tells a function of the bytes that fsspec has sent."""

    def __init__(self, report: Callable[[int], None]) -> None:
        super().__init__()
        self.told = 0
        self._report = report

    def relative_update(self, inc: int = 1) -> None:
        """More bytes."""
        self.told += inc
        self._report(inc)

    def absolute_update(self, value: int) -> None:
        """So many bytes in all."""
        self.relative_update(value - self.told)


def _ssh() -> Any:
    """The file system for SSH, whose driver comes with an extra."""
    from skelemo.cache.share.ssh import SshFileSystem

    return SshFileSystem


def _limit_waiting(protocol: str, options: dict[str, Any]) -> None:
    """A server that says nothing any more is a connection that was cut; how long a transfer takes is no matter.

    Trying again is `patiently`'s: where the driver does so too, minutes pass before a dead line is told.
    """
    if protocol in _WEB:
        with suppress(ImportError):
            import aiohttp

            timeout = aiohttp.ClientTimeout(total=None, sock_connect=_SECONDS_TO_ANSWER, sock_read=_SECONDS_TO_ANSWER)
            options["client_kwargs"] = {"timeout": timeout, **options.get("client_kwargs", {})}
    elif address.EXTRAS.get(protocol) == "s3":
        limits = {"connect_timeout": _SECONDS_TO_ANSWER, "read_timeout": _SECONDS_TO_ANSWER}
        once = {"retries": {"total_max_attempts": 1}}
        options["config_kwargs"] = {**limits, **once, **options.get("config_kwargs", {})}
