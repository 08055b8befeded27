"""The command line of the simulator: its options, and what each of them accepts."""

from __future__ import annotations

import argparse
import re
from typing import Any

from scaleset_simulator.faults import FaultError, parse_fault
from scaleset_simulator.latency import Latency, parse_latency, parse_seconds
from scaleset_simulator.options import OVERLOADS
from scaleset_simulator.switches import SWITCHES

__all__ = ["parser"]


def seconds(text: str) -> float:
    """Read a duration such as `50ms`, `2s`, `5m` or a number of seconds."""
    try:
        return parse_seconds(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def latency(text: str) -> Latency:
    """Read a latency, which may be a distribution."""
    try:
        return parse_latency(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def number(text: str) -> int:
    """Read a whole number that is not negative."""
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise argparse.ArgumentTypeError(f"{text!r}; expected a whole number from 0")
    return int(text)


def port(text: str) -> int:
    """Read a port."""
    if not re.fullmatch(r"[0-9]{1,5}", text) or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r}; expected a port from 0 to 65535")
    return int(text)


def positive(text: str) -> float:
    """Read a number that is over 0."""
    if not re.fullmatch(r"[0-9]{1,12}(?:\.[0-9]+)?", text) or not float(text):
        raise argparse.ArgumentTypeError(f"{text!r}; expected a number over 0")
    return float(text)


def share(text: str) -> float:
    """Read a share, from 0 to 1."""
    if not re.fullmatch(r"[01]|[01]?\.[0-9]+", text) or float(text) > 1:
        raise argparse.ArgumentTypeError(f"{text!r}; expected a share from 0 to 1")
    return float(text)


def _fault(text: str) -> Any:  # noqa: ANN401  # argparse's own protocol
    try:
        return parse_fault(text)
    except FaultError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


_LATENCY = (
    "time each answer takes: 50ms, uniform:40ms-360ms, lognormal:250ms,0.8 (median, sigma), "
    "mix:90%%*50ms+10%%*500ms; after a semicolon stall=2s/30s, drift=5/2m (default 0)"
)


def parser() -> argparse.ArgumentParser:
    """Make the parser of the command line."""
    made = argparse.ArgumentParser(
        prog="scaleset-burst simulate",
        description="The scale set service on a loopback socket, for trying and testing.",
    )
    add = made.add_argument
    add("--port", type=port, default=8080, help="port to listen on; 0 picks a free one (default 8080)")
    add("--host", default="127.0.0.1", help="address to listen on; loopback only (default 127.0.0.1)")
    add("--latency", type=latency, default=parse_latency("0"), metavar="TIME|DISTRIBUTION", help=_LATENCY)
    add("--jitter", type=share, default=0.0, help="share of the latency by which it varies")
    add("--capacity", type=number, default=0, help="mints worked on at once; 0: no limit")
    add("--overload", choices=OVERLOADS, default="queue", help="what happens beyond the capacity")
    add("--slices", choices=("on", "off"), default="off", help="whether several settings may come in one request")
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
    add("--registrations", type=number, default=0, help="registrations allowed in a window; 0: no limit")
    add("--window", type=seconds, default=300.0, help="length of that window (default 5m)")
    add("--group-capacity", type=number, default=10_000, help="runners in a group")
    for switch in SWITCHES.values():
        default, *others = switch.values
        taken: dict[str, Any] = {"choices": switch.values} if others else {"metavar": "TEXT"}
        flag, text = f"--{switch.name.replace('_', '-')}", f"{switch.meaning} (default {default})"
        add(flag, type=type(default), default=default, help=text, **taken)
    add("--unready", type=number, default=0, help="answer 401 to the first so many admin connections")
    add("--bom", action="store_true", help="begin every body with a byte order mark")
    add("--fault", action="append", type=_fault, default=[], metavar="KIND:ACTION[=VALUE][:HOW OFTEN][@FROM+FOR]")
    add("--seed", type=int, default=0, help="of everything that is left to chance")
    add("--speed", type=positive, default=1.0, help="run its clock so many times faster")
    add("--origin", type=positive, help="Unix time at which the faster clock began (default now)")
    add("--tls-cert", metavar="FILE", help="serve TLS with this certificate")
    add("--tls-key", metavar="FILE", help="and this key")
    add("--client-ca", metavar="FILE", help="demand client certificates signed by this authority")
    add("--parent", type=number, help="end when this process is gone")
    return made
