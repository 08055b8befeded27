"""A stand-in for the service that costs as little as it can, so that what is measured is the client.

Speaks what a burst needs: the token chain, look-ups by name, mints one at a time or in slices. Answers after a
latency that can be changed while it runs; says what CPU it has used.
"""

import argparse
import asyncio
import base64
import json
import resource
import ssl
import sys
import time
from typing import Any, cast

CONFIG = base64.b64encode(b"j" * 3072)
SETS = {b"bench-a": 41, b"bench-b": 42}
TOKEN = ".".join(
    base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
    for part in ({"alg": "HS256", "typ": "JWT"}, {"exp": int(time.time()) + 86_400}, "no signature")
)


class Service:
    """What all connections share."""

    def __init__(self, scheme: str) -> None:
        self.scheme = scheme
        self.latency = 0.0
        self.minted = 0
        self.requests = 0
        self.connections = 0

    def answer(self, method: bytes, path: bytes, body: bytes, host: bytes) -> tuple[bytes, float]:
        """Return status, body and latency as the bytes to send and the seconds to wait."""
        if path.find(b"/generatejitconfig") > 0:
            self.requests += 1
            return self._mint(path, body), self.latency
        if path.startswith(b"/_bench/"):
            return self._control(path), 0.0
        self.requests += 1
        return self._other(method, path, host), self.latency

    def _mint(self, path: bytes, body: bytes) -> bytes:
        asked, scale_set = json.loads(body), path.rpartition(b"/generatejitconfig")[0].rpartition(b"/")[2]
        if isinstance(asked, list):
            members = b",".join(self._config(one["name"], scale_set) for one in asked)
            return _reply(b'{"count":%d,"value":[%b]}' % (len(asked), members))
        return _reply(self._config(asked["name"], scale_set))

    def _config(self, name: str, scale_set: bytes) -> bytes:
        self.minted += 1
        return b'{"runner":{"id":%d,"name":"%b","runnerScaleSetId":%b},"encodedJITConfig":"%b"}' % (
            self.minted,
            name.encode(),
            scale_set,
            CONFIG,
        )

    def _control(self, path: bytes) -> bytes:
        if path.startswith(b"/_bench/latency/"):
            self.latency = float(path.rpartition(b"/")[2]) / 1000
        used = resource.getrusage(resource.RUSAGE_SELF)
        facts = {
            "cpu": used.ru_utime + used.ru_stime,
            "minted": self.minted,
            "requests": self.requests,
            "connections": self.connections,
        }
        return _reply(json.dumps(facts).encode())

    def _other(self, method: bytes, path: bytes, host: bytes) -> bytes:
        if path.endswith(b"/registration-token"):
            return _reply(b'{"token":"AABB","expires_at":"2099-01-01T00:00:00Z"}', b"201 Created")
        if path.endswith(b"/runner-registration"):
            url = f"{self.scheme}://{host.decode()}/tenant/"
            return _reply(json.dumps({"url": url, "token": TOKEN}).encode())
        if path.find(b"/runnerscalesets?") > 0:
            return _reply(_listing([_scale_set(name) for name in SETS if b"name=" + name in path]))
        if path.find(b"/runnergroups/") > 0:
            return _reply(_listing([{"id": 1, "name": "default", "isDefaultGroup": True}]))
        if method == b"DELETE":
            return _reply(b"", b"204 No Content")
        return _reply(_listing([]))


def _scale_set(name: bytes) -> dict[str, Any]:
    return {"id": SETS[name], "name": name.decode(), "runnerGroupId": 1, "runnerGroupName": "default", "labels": []}


def _listing(values: list[dict[str, Any]]) -> bytes:
    return json.dumps({"count": len(values), "value": values}).encode()


def _reply(body: bytes, status: bytes = b"200 OK") -> bytes:
    length = b"" if status.startswith(b"204") else b"Content-Length: %d\r\n" % len(body)
    return (
        b"HTTP/1.1 %b\r\nContent-Type: application/json; charset=utf-8\r\n%b"
        b"ActivityId: 0c7a7e3e-4a0b-4d5e-9d0b-6a4e1a3f9b11\r\nX-GitHub-Request-Id: 0401:2A3B:4C5D:6E7F\r\n"
        b"Cache-Control: no-store, no-cache\r\nStrict-Transport-Security: max-age=2592000\r\n\r\n%b"
    ) % (status, length, body)


class Visit(asyncio.Protocol):
    """One connection."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._received = b""
        self._later = asyncio.get_running_loop().call_later

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class
        self._service.connections += 1

    def data_received(self, data: bytes) -> None:
        """Answer each request when it is whole."""
        received = self._received = self._received + data
        end = received.find(b"\r\n\r\n")
        if end < 0:
            return
        head = received[:end].lower()
        length = int(head.partition(b"\ncontent-length:")[2].partition(b"\r")[0] or 0)
        if len(received) < end + 4 + length:
            return
        self._received = received[end + 4 + length :]
        method, path, _ = received[: received.find(b"\r\n")].split(b" ")
        host = head.partition(b"\nhost:")[2].partition(b"\r")[0].strip()
        reply, wait = self._service.answer(method, path, received[end + 4 : end + 4 + length], host)
        if wait:
            self._later(wait, self._send, reply)
        else:
            self._send(reply)

    def _send(self, reply: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(reply)


async def serve(certificate: str | None) -> None:
    """Listen until standard input ends."""
    loop = asyncio.get_running_loop()
    tls = None
    if certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate)
    service = Service("https" if tls else "http")
    listener = await loop.create_server(lambda: Visit(service), "127.0.0.1", 0, ssl=tls, backlog=2048)
    port = listener.sockets[0].getsockname()[1]
    print(json.dumps({"url": f"{service.scheme}://127.0.0.1:{port}"}), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--certificate", help="PEM file of a certificate and its key; plain HTTP if left out")
    arguments = parser.parse_args()
    try:
        import uvloop  # noqa: PLC0415  # optional
    except ImportError:
        asyncio.run(serve(arguments.certificate))
    else:
        uvloop.run(serve(arguments.certificate))


if __name__ == "__main__":
    main()
