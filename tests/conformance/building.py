"""Builds the program that drives the official client."""

import os
import shutil
import subprocess
from pathlib import Path

__all__ = ["BuildError", "ToolchainError", "build"]

ROOT = Path(__file__).resolve().parents[2]
SOURCES = Path(__file__).resolve().parent / "go"
BINARY = ROOT / ".cache" / "conformance" / "official"


class ToolchainError(Exception):
    """This machine has no Go, or one that is too old; the text says which."""


class BuildError(Exception):
    """There is a Go, and the program does not build with it."""


def build() -> Path:
    """Return the built program, building it if its sources are newer.

    Raises:
        ToolchainError: There is no `go`, or it is older than the official client asks for.
        BuildError: The build failed.
    """
    go = shutil.which("go")
    if go is None:
        raise ToolchainError("`go` is not installed, and the official client is a Go module")
    if BINARY.exists() and BINARY.stat().st_mtime > max(path.stat().st_mtime for path in SOURCES.iterdir()):
        return BINARY
    BINARY.parent.mkdir(parents=True, exist_ok=True)
    environment = {
        "GOTOOLCHAIN": "local",
        "GOCACHE": str(ROOT / ".cache" / "go-build"),
        **os.environ,
        "CGO_ENABLED": "0",
    }
    done = subprocess.run(
        [go, "build", "-buildvcs=false", "-o", str(BINARY), "."],
        cwd=SOURCES,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["go build failed without a word"])[-1]
        raise (ToolchainError if "requires go >=" in last else BuildError)(last)
    return BINARY
