"""Places that caches travel to and from: a web server, and a line that is cut."""

import socket
import threading
from contextlib import suppress
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer


class WebServer(ThreadingHTTPServer):
    """A folder on the web, with ranges and listings unless it is told to have none; it counts what it sends.

    ``cut`` is asked for each answer after how many bytes of its body the connection breaks: a number, or None.
    """

    daemon_threads = True

    def __init__(self, folder, *, ranges=True, listing=True, cut=lambda path: None):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder, self.ranges, self.listing, self.cut = folder, ranges, listing, cut
        self.sent, self.asked = {}, []
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def __exit__(self, *_):
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

    def do_GET(self):
        path = self.translate_path(self.path)
        self.server.asked.append(self.path)
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
