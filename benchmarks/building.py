"""Makes the peers ready to run, each as a command; what this machine cannot have is skipped by name with the reason."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

__all__ = ["BENCH_PYTHON", "CACHE", "ROOT", "Peer", "Skipped", "bench_python", "build_peers"]

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".cache" / "bench"
PEERS = ROOT / "benchmarks" / "peers"
VENV = ROOT / ".cache" / "bench-venv"
BENCH_PYTHON = VENV / "bin" / "python"
GO_VERSIONS = ("v0.4.0", "latest")
BUILD_SECONDS = 600


class Skipped(Exception):  # a reason, not an error
    """This peer cannot be had here; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A program to measure.

    Attributes:
        name: As it stands in the table.
        kind: `ours`, `go`, `rust` or `python`.
        command: What starts it.
        one: Whether it keeps to one client although it would not be fast with it.
    """

    name: str
    kind: str
    command: tuple[str, ...]
    one: bool = False


def build_peers(*, quick: bool, redis: str | None) -> tuple[list[Peer], dict[str, str]]:
    """Return the peers that can run, ours first, and why the others cannot.

    Args:
        quick: Leave out what would take minutes to build.
        redis: URL of a Redis for the plugin that shares its limits.
    """
    skipped: dict[str, str] = {}
    try:
        python = str(bench_python())
    except Skipped as why:
        skipped["a base install of ours"] = f"{why}; ours runs with every extra instead"
        python = sys.executable
    ours = str(PEERS / "ours.py")
    peers = [
        Peer(name="plugin", kind="ours", command=(python, ours, "plugin")),
        Peer(name="client", kind="ours", command=(python, ours, "client")),
        Peer(name="plugin, uvloop", kind="ours", command=(python, ours, "plugin", "--uvloop")),
    ]
    if redis is None:
        skipped["plugin, Redis"] = "there is no redis-server"
    else:
        peers.append(Peer(name="plugin, Redis", kind="ours", command=(python, ours, "plugin", "--redis", redis)))
    for name, make in (
        *((f"go {version}", partial(_go, version)) for version in GO_VERSIONS),
        ("rust crate", partial(_rust, quick=quick)),
        ("aiohttp", partial(_python, "aiohttp", "expert_aiohttp.py")),
        ("httpx", partial(_python, "httpx", "plain_httpx.py")),
    ):
        try:
            peers += make()
        except Skipped as why:
            skipped[name] = str(why)
    return peers, skipped


def bench_python() -> Path:
    """Return the Python of the bench venv, made if need be: ours as a host installs it, and the peers' packages.

    Raises:
        Skipped: The packages cannot be installed.
    """
    pins = ROOT / "constraints" / "bench.txt"
    stamp = VENV / ".ready"
    if not stamp.exists() or stamp.stat().st_mtime < pins.stat().st_mtime:
        _run([sys.executable, "-m", "venv", str(VENV)], "making a venv")
        install = [str(BENCH_PYTHON), "-m", "pip", "install", "--quiet"]
        _run([*install, "--requirement", str(pins)], "pip install")
        every = str(ROOT / "constraints" / "all.txt")
        _run([*install, "--constraint", every, "redis", "uvloop", "--editable", str(ROOT)], "pip install of ours")
        stamp.touch()
    return BENCH_PYTHON


def _python(name: str, program: str) -> list[Peer]:
    return [Peer(name=name, kind="python", command=(str(bench_python()), str(PEERS / program)))]


def _go(version: str) -> list[Peer]:
    go = shutil.which("go")
    if go is None:
        raise Skipped("`go` is not installed")
    work = CACHE / f"go-{version}"
    work.mkdir(parents=True, exist_ok=True)
    for source in ("main.go", "go.mod", "go.sum"):
        shutil.copyfile(PEERS / "go" / source, work / source)
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=mod"}
    if version == "latest":
        _run([go, "get", "github.com/actions/scaleset@latest"], "go get", cwd=work, environment=environment)
        found = re.search(r"actions/scaleset (v\S+)", (work / "go.mod").read_text())
        version = found.group(1) if found else version
        if version == GO_VERSIONS[0]:
            raise Skipped(f"the newest version is {version}, which is measured")
    binary = work / "peer"
    _run([go, "build", "-buildvcs=false", "-o", str(binary), "."], "go build", cwd=work, environment=environment)
    return [
        Peer(name=f"go {version}", kind="go", command=(str(binary),)),
        Peer(name=f"go {version}, one client", kind="go", command=(str(binary),), one=True),
    ]


def _rust(*, quick: bool) -> list[Peer]:
    cargo = shutil.which("cargo")
    target = CACHE / "rust"
    binary = target / "release" / "peer"
    if cargo is None:
        raise Skipped("`cargo` is not installed")
    if quick and not binary.exists():
        raise Skipped("not built yet, which takes minutes: a run without --quick builds it")
    if not quick:
        environment = {**os.environ, "CARGO_TARGET_DIR": str(target)}
        _run([cargo, "build", "--release", "--quiet"], "cargo build", cwd=PEERS / "rust", environment=environment)
    return [Peer(name="rust crate", kind="rust", command=(str(binary),))]


def _run(command: list[str], what: str, *, cwd: Path = ROOT, environment: dict[str, str] | None = None) -> None:
    print(f"{what} …", file=sys.stderr)
    try:
        done = subprocess.run(
            command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise Skipped(f"{what} took longer than {BUILD_SECONDS} s") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no word of why"])[-1].strip()
        raise Skipped(f"{what} failed: {_without_hosts(last)}")


def _without_hosts(text: str) -> str:
    return re.sub(r"https?://\S+", "the registry", text)[:200]
