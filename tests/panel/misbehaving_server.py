"""A web server on the loopback address that misbehaves as told, and remembers what it was asked."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Page:
    """What stands at a path, and how it is served (a ``_serve_…`` method of the handler)."""

    body: bytes
    manner: str
    to: str = ""
    seconds: float = 0.02


class MisbehavingServer:
    """Serves pages in their manners from a thread, on a free port, as a context manager."""

    def __enter__(self) -> MisbehavingServer:
        self.pages: dict[str, Page] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.counts: Counter[str] = Counter()
        self.closing = threading.Event()
        server = self

        class Bound(_Handler):
            owner = server

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Bound)
        self._http.daemon_threads = True
        self.root = f"http://127.0.0.1:{self._http.server_address[1]}"
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._http.shutdown()
        self._http.server_close()

    def put(self, path: str, body: bytes, manner: str = "well", **more: object) -> str:
        """Put a page at a path and return its address."""
        self.pages["/" + path] = Page(body, manner, **more)
        return f"{self.root}/{path}"

    def ranges(self, path: str) -> list[str | None]:
        """Return the Range headers a path was asked with, in order."""
        return [header for asked, header in self.asked if asked == "/" + path]


class _Handler(BaseHTTPRequestHandler):
    owner: MisbehavingServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        path = urlsplit(self.path).path  # as a proxy it is asked for a whole address
        self.owner.asked.append((path, self.headers.get("Range")))
        self.owner.counts[path] += 1
        self.time = self.owner.counts[path]
        page = self.owner.pages.get(path)
        if page is None:
            self.send_error(404)
            return
        self.close_connection = True
        getattr(self, f"_serve_{page.manner}")(page)

    def _head(self, length: int | None, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Connection", "close")
        self.end_headers()

    def _serve_well(self, page: Page) -> None:
        asked = self.headers.get("Range")
        if not asked:
            self._head(len(page.body))
            self.wfile.write(page.body)
            return
        start = int(asked.removeprefix("bytes=").split("-")[0])
        if start >= len(page.body):
            self._head(0, 416)
            return
        span = f"bytes {start}-{len(page.body) - 1}/{len(page.body)}"
        self._head(len(page.body) - start, 206, Content_Range=span)
        self.wfile.write(page.body[start:])

    def _serve_truncated(self, page: Page) -> None:
        """Promise everything, send the first half, every time, from the start."""
        self._head(len(page.body))
        self.wfile.write(page.body[: len(page.body) // 2])

    def _serve_breaks_once(self, page: Page) -> None:
        if self.time == 1:
            self._serve_truncated(page)
        else:
            self._serve_well(page)

    def _serve_breaks_without_length(self, page: Page) -> None:
        """Break off where nothing in the response says how much was to come."""
        if self.time == 1:
            self._head(None)
            self.wfile.write(page.body[: len(page.body) // 2])
        else:
            self._serve_well(page)

    def _serve_ignores_range(self, page: Page) -> None:
        if self.time == 1:
            self._serve_truncated(page)
        else:
            self._head(len(page.body))
            self.wfile.write(page.body)

    def _serve_resumes_wrongly(self, page: Page) -> None:
        """Answer a range as asked, with bytes of another place."""
        asked = self.headers.get("Range")
        if self.time == 1:
            self._serve_truncated(page)
        elif asked:
            start = int(asked.removeprefix("bytes=").split("-")[0])
            span = f"bytes {start}-{len(page.body) - 1}/{len(page.body)}"
            self._head(len(page.body) - start, 206, Content_Range=span)
            self.wfile.write(page.body[: len(page.body) - start])
        else:
            self._serve_well(page)

    def _serve_resumes_at_zero(self, page: Page) -> None:
        """Answer a range with everything, and say so."""
        if self.time == 1:
            self._serve_truncated(page)
        elif self.headers.get("Range"):
            self._head(len(page.body), 206, Content_Range=f"bytes 0-{len(page.body) - 1}/{len(page.body)}")
            self.wfile.write(page.body)
        else:
            self._serve_well(page)

    def _serve_refuses_range(self, page: Page) -> None:
        if self.headers.get("Range"):
            self._head(0, 416)
        else:
            self._serve_breaks_once(page)

    def _serve_error_twice(self, page: Page) -> None:
        if self.time <= 2:
            self._head(0, 500)
        else:
            self._serve_well(page)

    def _serve_error(self, page: Page) -> None:
        self._head(0, 500)

    def _serve_busy_once(self, page: Page) -> None:
        if self.time == 1:
            self._head(0, 503, Retry_After=page.to)
        else:
            self._serve_well(page)

    def _serve_trickling(self, page: Page) -> None:
        self._head(len(page.body))
        for start in range(0, len(page.body), 16):
            if self.owner.closing.wait(page.seconds):
                return
            self.wfile.write(page.body[start : start + 16])

    def _serve_trickling_once(self, page: Page) -> None:
        if self.time == 1:
            self._serve_trickling(page)
        else:
            self._serve_well(page)

    def _serve_silent(self, page: Page) -> None:
        self.owner.closing.wait()

    def _serve_silent_half_way(self, page: Page) -> None:
        if self.time == 1:
            self._head(len(page.body))
            self.wfile.write(page.body[: len(page.body) // 2])
            self.owner.closing.wait()
        else:
            self._serve_well(page)

    def _serve_redirect(self, page: Page) -> None:
        self._head(0, 302, Location=page.to)

    def _serve_chunked(self, page: Page) -> None:
        self._head(None, Transfer_Encoding="chunked")
        self.wfile.write(f"{len(page.body):x}\r\n".encode() + page.body + b"\r\n0\r\n\r\n")
