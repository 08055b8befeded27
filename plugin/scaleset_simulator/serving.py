"""Runs a simulator: options from the command line, uvicorn underneath."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import socket
import ssl
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from scaleset_simulator.app import Application
from scaleset_simulator.clock import Clock, ScaledClock, SystemClock
from scaleset_simulator.commandline import parser
from scaleset_simulator.errors import Refusal
from scaleset_simulator.options import AppKey, Options
from scaleset_simulator.world import World

__all__ = ["run"]


def run(argv: Sequence[str] | None = None) -> int:
    """Run a simulator until it is told to end; return the exit status."""
    try:
        arguments = parser().parse_args(argv)
        _check(arguments)
        options = _options(arguments)
        world = World(options, _clock(arguments))
        config = _config(arguments, Application(world), world)
        config.load()  # reads the certificates
    except SystemExit as leaving:
        return int(leaving.code or 0)
    except Refusal as refusal:
        print(f"error: --scale-set: {refusal.message}", file=sys.stderr)
        return 2
    except ssl.SSLError:
        print("error: the TLS certificate, its key or the authority is no PEM, or they do not fit", file=sys.stderr)
        return 2
    except (OSError, ValueError) as error:  # a file that does not open, or does not hold what it should
        print(f"error: {error}", file=sys.stderr)
        return 2
    try:
        listener = _listen(arguments.host, arguments.port)
    except OSError as error:
        reason = error.strerror or error
        print(
            f"error: cannot listen on {arguments.host}:{arguments.port}: {reason}; choose another --port",
            file=sys.stderr,
        )
        return 1
    with listener:
        world.origin = _origin(arguments, listener.getsockname()[1])
        return _serve(arguments, world, config, listener)


def _check(arguments: argparse.Namespace) -> None:
    """Raise `ValueError` for options that do not go together, and for an address that others can reach."""
    host = arguments.host
    try:
        loopback = host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise ValueError(f"--host {host}: the simulator listens on loopback only")
    given = (arguments.tls_cert, arguments.tls_key, arguments.client_ca)
    missing = [path for path in given if path and not Path(path).is_file()]
    if missing:
        raise ValueError(f"no such file: {', '.join(missing)}")
    if not arguments.tls_cert and (arguments.tls_key or arguments.client_ca):
        raise ValueError("--tls-key and --client-ca need --tls-cert")


def _clock(arguments: argparse.Namespace) -> Clock:
    return SystemClock() if arguments.speed == 1.0 else ScaledClock(arguments.speed, arguments.origin)


def _origin(arguments: argparse.Namespace, port: int) -> str:
    host = f"[{arguments.host}]" if ":" in arguments.host else arguments.host
    if host in {"localhost", "127.0.0.1"}:  # certificates are for the name
        host = "localhost" if arguments.tls_cert else "127.0.0.1"
    return f"{'https' if arguments.tls_cert else 'http'}://{host}:{port}"


def _serve(arguments: argparse.Namespace, world: World, config: uvicorn.Config, listener: socket.socket) -> int:
    """Serve on a socket that listens already."""

    async def serve() -> None:
        server = _Server(config, world)
        if arguments.parent:
            watcher = asyncio.create_task(_watch(arguments.parent, server))
            watcher.add_done_callback(lambda _task: None)
        await server.serve(sockets=[listener])

    try:
        import uvloop  # noqa: PLC0415  # absent on some systems

        runner: Any = uvloop.run
    except ImportError:
        runner = asyncio.run
    runner(serve())
    return 0


def _config(arguments: argparse.Namespace, application: Application, world: World) -> uvicorn.Config:
    class Protocol(HttpToolsProtocol):
        """Counts connections, and lets the application cut one."""

        def connection_made(self, transport: Any) -> None:  # noqa: ANN401  # uvicorn's signature
            world.gauge.connected()
            super().connection_made(transport)

        def connection_lost(self, exc: Exception | None) -> None:
            world.gauge.disconnected()
            super().connection_lost(exc)

        def on_headers_complete(self) -> None:
            self.scope["simulator.transport"] = self.transport  # type: ignore[typeddict-unknown-key]
            super().on_headers_complete()

    return uvicorn.Config(
        application,
        http=Protocol,
        ws="none",
        lifespan="off",
        log_level="critical",
        access_log=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=1,
        server_header=False,
        backlog=4096,
        ssl_certfile=arguments.tls_cert,
        ssl_keyfile=arguments.tls_key,
        ssl_ca_certs=arguments.client_ca,
        ssl_cert_reqs=ssl.CERT_REQUIRED if arguments.client_ca else ssl.CERT_NONE,
    )


def _options(arguments: argparse.Namespace) -> Options:
    app = None
    if arguments.app_key:
        key = Path(arguments.app_key).read_text(encoding="utf-8", errors="replace")
        if "-----BEGIN " not in key:
            raise ValueError(f"--app-key {arguments.app_key}: expected a key in PEM form")
        app = AppKey(client_id=arguments.app_client_id, installation_id=arguments.app_installation, public_key=key)
    names = {each.name for each in fields(Options)}
    given = {name: value for name, value in vars(arguments).items() if name in names}
    given |= {"app": app, "slices": arguments.slices == "on", "faults": tuple(arguments.fault)}
    return Options(**given | {"scale_sets": tuple(arguments.scale_set or ["demo-linux"])})


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(4096)
    except OSError:
        listener.close()
        raise
    return listener


class _Server(uvicorn.Server):
    """Ends with status 0 on SIGTERM and SIGINT, as a program does that did what it was told.

    It says where it listens once it does, and minds signals.
    """

    def __init__(self, config: uvicorn.Config, world: World) -> None:
        super().__init__(config)
        self._world = world

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        about = {
            "ready": True,
            "url": self._world.origin,
            "config_url": self._world.config_url,
            "token": self._world.options.token,
            "pid": os.getpid(),
        }
        print(json.dumps(about), flush=True)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)


async def _watch(parent: int, server: uvicorn.Server) -> None:
    while not server.should_exit:
        await asyncio.sleep(0.5)
        try:
            os.kill(parent, 0)
        except ProcessLookupError:
            server.should_exit = True
