"""Runs a simulator: options from the command line, uvicorn underneath."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import signal
import socket
import ssl
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from scaleset_burst.clock import Clock, ScaledClock, SystemClock
from scaleset_burst.simulator.app import Application
from scaleset_burst.simulator.faults import FaultError, parse_fault
from scaleset_burst.simulator.tokens import AppKey
from scaleset_burst.simulator.world import Options, World

__all__ = ["run"]

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "": 1.0}


def seconds(text: str) -> float:
    """Read a duration such as `50ms`, `2s`, `5m` or a number of seconds."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration; expected 50ms, 2s, 5m or a number of seconds")
    return float(match[1]) * _UNITS[match[2]]


def _fault(text: str) -> Any:  # noqa: ANN401  # argparse's own protocol
    try:
        return parse_fault(text)
    except FaultError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def parser() -> argparse.ArgumentParser:
    """Make the parser of the command line."""
    made = argparse.ArgumentParser(
        prog="scaleset-burst simulate",
        description="The scale set service on a loopback socket, for trying and testing.",
    )
    add = made.add_argument
    add("--port", type=int, default=8080, help="port to listen on; 0 picks a free one (default 8080)")
    add("--host", default="127.0.0.1", help="address to listen on; loopback only (default 127.0.0.1)")
    add("--latency", type=seconds, default=0.0, help="time each answer takes (default 0)")
    add("--jitter", type=float, default=0.0, help="share of the latency by which it varies")
    add("--capacity", type=int, default=0, help="mints worked on at once; 0: no limit")
    add("--overload", choices=("queue", "refuse"), default="queue", help="what happens beyond the capacity")
    add("--slices", choices=("on", "off"), default="off", help="whether several settings may come in one request")
    add("--backend", choices=("assign", "offer"), default="assign", help="assign jobs directly, or offer them")
    add("--scale-set", action="append", metavar="NAME[:GROUP]", help="made at start (default demo-linux)")
    add("--token", default="simulator-token", help="the access token that is accepted (default simulator-token)")
    add("--app-key", metavar="FILE", help="public key (PEM) of the GitHub App that is accepted")
    add("--app-client-id", default="Iv1.simulator", help="its client id")
    add("--app-installation", type=int, default=1, help="its installation id")
    add("--admin-token-ttl", type=seconds, default=3600.0, help="lifetime of admin tokens (default 1h)")
    add("--queue-token-ttl", type=seconds, default=3000.0, help="lifetime of queue tokens (default 50m)")
    add("--poll-seconds", type=seconds, default=50.0, help="length of a long poll (default 50s)")
    add("--job-seconds", type=seconds, default=1.0, help="length of a job (default 1s)")
    add("--session-seconds", type=seconds, default=90.0, help="a session nobody polls expires after (default 90s)")
    add("--registrations", type=int, default=0, help="registrations allowed in a window; 0: no limit")
    add("--window", type=seconds, default=300.0, help="length of that window (default 5m)")
    add("--group-capacity", type=int, default=10_000, help="runners in a group")
    add("--running-status", type=int, choices=(400, 409), default=400, help="status of JobStillRunningException")
    add("--absent-status", type=int, choices=(204, 404), default=204, help="status of removing an absent runner")
    add("--unready", type=int, default=0, help="answer 401 to the first so many admin connections")
    add("--bom", action="store_true", help="begin every body with a byte order mark")
    add("--fault", action="append", type=_fault, default=[], metavar="KIND:ACTION[=VALUE][:HOW OFTEN][@FROM+FOR]")
    add("--seed", type=int, default=0, help="of everything that is left to chance")
    add("--speed", type=float, default=1.0, help="run its clock so many times faster")
    add("--origin", type=float, help="Unix time at which the faster clock began (default now)")
    add("--tls-cert", metavar="FILE", help="serve TLS with this certificate")
    add("--tls-key", metavar="FILE", help="and this key")
    add("--client-ca", metavar="FILE", help="demand client certificates signed by this authority")
    add("--parent", type=int, help="end when this process is gone")
    return made


def run(argv: Sequence[str] | None = None) -> int:
    """Run a simulator until it is told to end; return the exit status."""
    try:
        arguments = parser().parse_args(argv)
        options = _options(arguments)
    except SystemExit as leaving:
        return int(leaving.code or 0)
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if not arguments.host.startswith("127.") and arguments.host not in {"localhost", "::1"}:
        print(f"error: --host {arguments.host}: the simulator listens on loopback only", file=sys.stderr)
        return 2
    given = (arguments.tls_cert, arguments.tls_key, arguments.client_ca)
    missing = [path for path in given if path and not Path(path).is_file()]
    if missing:
        print(f"error: no such file: {', '.join(missing)}", file=sys.stderr)
        return 2
    try:
        listener = _listen(arguments.host, arguments.port)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        print(
            f"error: cannot listen on {arguments.host}:{arguments.port}: {reason}; choose another --port",
            file=sys.stderr,
        )
        return 1
    clock: Clock = SystemClock() if arguments.speed == 1.0 else ScaledClock(arguments.speed, arguments.origin)
    with listener:
        return uvicorn_main(arguments, options, clock, listener)


def uvicorn_main(arguments: argparse.Namespace, options: Options, clock: Clock, listener: socket.socket) -> int:
    """Serve on a socket that listens already."""
    scheme = "https" if arguments.tls_cert else "http"
    host = "localhost" if arguments.tls_cert else "127.0.0.1"
    origin = f"{scheme}://{host}:{listener.getsockname()[1]}"

    async def serve() -> None:
        world = World(options, clock, origin)
        server = _Server(_config(arguments, Application(world), world))
        if arguments.parent:
            watcher = asyncio.create_task(_watch(arguments.parent, server))
            watcher.add_done_callback(lambda _task: None)
        about = {
            "ready": True,
            "url": origin,
            "config_url": f"{origin}/acme",
            "token": options.token,
            "pid": os.getpid(),
        }
        print(json.dumps(about), flush=True)
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
        key = Path(arguments.app_key).read_text(encoding="utf-8")
        app = AppKey(client_id=arguments.app_client_id, installation_id=arguments.app_installation, public_key=key)
    return Options(
        latency=arguments.latency,
        jitter=arguments.jitter,
        capacity=arguments.capacity,
        overload=arguments.overload,
        slices=arguments.slices == "on",
        unready=arguments.unready,
        bom=arguments.bom,
        poll_seconds=arguments.poll_seconds,
        token=arguments.token,
        backend=arguments.backend,
        admin_token_seconds=arguments.admin_token_ttl,
        queue_token_seconds=arguments.queue_token_ttl,
        job_seconds=arguments.job_seconds,
        session_seconds=arguments.session_seconds,
        registrations=arguments.registrations,
        window=arguments.window,
        group_capacity=arguments.group_capacity,
        running_status=arguments.running_status,
        absent_status=arguments.absent_status,
        seed=arguments.seed,
        app=app,
        scale_sets=tuple(arguments.scale_set or ["demo-linux"]),
        faults=tuple(arguments.fault),
    )


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
    """Ends with status 0 on SIGTERM and SIGINT, as a program does that did what it was told."""

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
