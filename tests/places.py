"""Places that caches travel to and from: a web server, and a line that is cut."""

import os
import socket
import threading
import time
from contextlib import suppress
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class WebServer(ThreadingHTTPServer):
    """A folder on the web, with ranges and listings unless it is told to have none; it counts what it sends.

    ``cut`` is asked for each answer after how many bytes of its body the connection breaks, a number or None, or hangs
    while ``hanging``. The next ``drops`` questions get no answer at all.
    """

    daemon_threads = True

    def __init__(self, folder, *, ranges=True, listing=True, cut=lambda path: None):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder, self.ranges, self.listing, self.cut = folder, ranges, listing, cut
        self.sent, self.asked, self.drops = {}, [], 0
        self.hanging, self.hangs = False, threading.Event()
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def __exit__(self, *_):
        self.hangs.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, *_):
        pass


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, request, address, server):
        super().__init__(request, address, server, directory=str(server.folder))

    def log_message(self, *_):
        pass

    def list_directory(self, path):
        if not self.server.listing:
            self.send_error(403)
            return None
        return super().list_directory(path)

    def do_HEAD(self):
        if not self._dropped():
            super().do_HEAD()

    def _dropped(self):
        """Whether this question is one of the next few that get no answer."""
        if not self.server.drops:
            return False
        self.server.drops -= 1
        self.close_connection = True
        return True

    def do_GET(self):
        path = self.translate_path(self.path)
        self.server.asked.append(self.path)
        if self._dropped():
            return
        try:
            with open(path, "rb") as file:
                content = file.read()
        except OSError:
            super().do_GET()
            return
        first, last = 0, len(content)
        wanted = self.headers.get("Range") if self.server.ranges else None
        if wanted:
            low, _, high = wanted.removeprefix("bytes=").partition("-")
            first, last = int(low), min(int(high) + 1, len(content))
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(last - first))
        if wanted:
            self.send_header("Content-Range", f"bytes {first}-{last - 1}/{len(content)}")
        self.end_headers()
        limit = self.server.cut(self.path)
        body = content[first:last] if limit is None else content[first : min(last, first + limit)]
        with suppress(OSError):
            self.wfile.write(body)
            name = self.path.rpartition("/")[2]
            self.server.sent[name] = self.server.sent.get(name, 0) + len(body)
        if limit is not None:
            # A line that breaks has brought what it brought; one that hangs brings no more, and does not break.
            if self.server.hanging:
                self.server.hangs.wait(60)
            else:
                time.sleep(0.1 * (limit > 0))
            self.close_connection = True
            with suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)


class Line:
    """Connections to a server, counted, of which the next few break after some bytes from it or to it."""

    def __init__(self, port):
        self._to = port
        self.down = self.up = self.broken = 0
        self.breaks = []  # of each connection to come: ("down" | "up", bytes)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self._listener.close()

    def _accept(self):
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._to))
                ends = (client, server)
                threading.Thread(target=self._carry, args=(server, client, "down", ends), daemon=True).start()
                threading.Thread(target=self._carry, args=(client, server, "up", ends), daemon=True).start()

    def _carry(self, source, target, way, ends):
        moved = 0
        with suppress(OSError):
            while data := source.recv(65536):
                setattr(self, way, getattr(self, way) + len(data))
                moved += len(data)
                if self.breaks and self.breaks[0][0] == way and moved > self.breaks[0][1]:
                    self.breaks.pop(0)
                    self.broken += 1
                    break
                target.sendall(data)
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class SshServer:
    """A folder behind SSH's file transfer, for one user with a password."""

    def __init__(self, folder, user, password):
        import paramiko

        self._key = paramiko.RSAKey.generate(2048)
        self._root, self._user, self._password = str(folder), user, password
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]

    def make_known(self, port, key=""):
        """Put its key, or another one, for a port of this machine into the user's known_hosts."""
        import paramiko

        path = Path.home() / ".ssh" / "known_hosts"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        known = paramiko.HostKeys(str(path))
        shown = paramiko.RSAKey.generate(2048) if key else self._key
        known.add(f"[127.0.0.1]:{port}", shown.get_name(), shown)
        known.save(str(path))

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._listener.close()

    def _accept(self):
        import paramiko

        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                transport = paramiko.Transport(connection)
                transport.add_server_key(self._key)
                transport.set_subsystem_handler("sftp", paramiko.SFTPServer, _files_below(self._root))
                with suppress(Exception):
                    transport.start_server(server=_door(self._user, self._password))


def _door(user, password):
    import paramiko

    class Door(paramiko.ServerInterface):
        def check_auth_password(self, username, given):
            right = (username, given) == (user, password)
            return paramiko.AUTH_SUCCESSFUL if right else paramiko.AUTH_FAILED

        def check_channel_request(self, kind, number):
            return paramiko.OPEN_SUCCEEDED

        def get_allowed_auths(self, username):
            return "password"

    return Door()


def _files_below(root):
    import paramiko

    def answered(action):
        def tried(*words):
            try:
                return action(*words)
            except OSError as error:
                return paramiko.SFTPServer.convert_errno(error.errno)

        return tried

    def done(action):
        action()
        return paramiko.SFTP_OK

    class Files(paramiko.SFTPServerInterface):
        def _at(self, path):
            return root + self.canonicalize(path)

        def list_folder(self, path):
            return answered(self._list)(self._at(path))

        def _list(self, path):
            return [paramiko.SFTPAttributes.from_stat(one.stat(), one.name) for one in os.scandir(path)]

        def stat(self, path):
            return answered(lambda: paramiko.SFTPAttributes.from_stat(os.stat(self._at(path))))()

        lstat = stat

        def open(self, path, flags, attributes):
            return answered(self._open)(self._at(path), flags)

        def _open(self, path, flags):
            writing = flags & (os.O_WRONLY | os.O_RDWR)
            file = os.fdopen(os.open(path, flags, 0o666), "wb" if writing else "rb")
            handle = paramiko.SFTPHandle(flags)
            handle.filename, handle.readfile, handle.writefile = path, file, file
            handle.stat = lambda: paramiko.SFTPAttributes.from_stat(os.fstat(file.fileno()))
            return handle

        def remove(self, path):
            return answered(lambda: done(lambda: os.remove(self._at(path))))()

        def posix_rename(self, old, new):
            return answered(lambda: done(lambda: os.replace(self._at(old), self._at(new))))()

        def mkdir(self, path, attributes):
            return answered(lambda: done(lambda: os.mkdir(self._at(path))))()

    return Files
