"""A small service on a real socket: the token chain and the look-ups, and what it was asked."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import pytest


@dataclass
class Service:
    """What the service holds, and what it was asked.

    Attributes:
        token: The personal access token it takes.
        requests: Method and path of each request.
        url: Its address.
    """

    token: str = "good"
    scale_sets: dict[str, int] = field(default_factory=lambda: {"linux": 3})
    runners: int = 2
    requests: list[str] = field(default_factory=list)
    url: str = ""

    def answer(self, method: str, target: str, authorization: str) -> tuple[int, object]:
        url = urlsplit(target)
        self.requests.append(f"{method} {url.path}")
        if url.path.endswith("/registration-token"):
            good = authorization == f"Bearer {self.token}"
            return (201, {"token": "REG"}) if good else (401, {"message": "Bad credentials"})
        if url.path.endswith("/actions/runner-registration"):
            return 200, {"url": f"{self.url}/rest", "token": "admin"}
        if url.path.endswith("/runnerscalesets"):
            name = parse_qs(url.query).get("name", [None])[0]
            found = [{"id": key, "name": one} for one, key in self.scale_sets.items() if name in {None, one}]
            return 200, {"count": len(found), "value": found}
        if url.path.endswith("/agents"):
            return 200, {
                "count": self.runners,
                "value": [{"id": n, "name": f"r{n}"} for n in range(1, self.runners + 1)],
            }
        if url.path.endswith("/runnergroups/"):
            return 200, {"count": 0, "value": []}
        return 404, {"message": "nothing here"}


@pytest.fixture
def service() -> Iterator[Service]:
    state = Service()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, value = state.answer(self.command, self.path, self.headers.get("Authorization", ""))
            body = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = _serve  # noqa: N815 - the library's names

        def log_message(self, *_: object) -> None:
            """Stay quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield state
    server.shutdown()
    server.server_close()
    thread.join()
