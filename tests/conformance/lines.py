"""A client behind a pipe: one JSON operation a line in, one JSON reply a line out."""

import json
import selectors
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeAlias

Value: TypeAlias = Any
"""What JSON can say."""

__all__ = ["LineDriver", "OperationError", "Value"]

ANSWER_SECONDS = 120.0
"""Time for one reply; operations have limits of their own that are shorter."""


class OperationError(Exception):
    """The client refused or failed an operation; `kind` has the same words for every client."""

    def __init__(self, op: str, kind: str, message: str) -> None:
        super().__init__(f"{op}: {kind}: {message}")
        self.kind = kind


class LineDriver:
    """Runs a driver program and speaks its lines.

    Args:
        name: What to call it in the table.
        command: The program with its arguments.
        folder: Where it runs.
    """

    def __init__(self, name: str, command: Sequence[str], folder: Path) -> None:
        self.name = name
        self._number = 0
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            bufsize=1,
        )
        self._ready = selectors.DefaultSelector()
        assert self._process.stdout is not None
        self._ready.register(self._process.stdout, selectors.EVENT_READ)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._ready.close()
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def call(self, op: str, **arguments: object) -> Value:
        """Run one operation and return its value.

        Raises:
            OperationError: The client says that it failed.
        """
        self._number += 1
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"id": self._number, "op": op, "args": arguments}) + "\n")
        self._process.stdin.flush()
        if not self._ready.select(ANSWER_SECONDS):
            raise TimeoutError(f"{self.name} did not answer {op} within {ANSWER_SECONDS:.0f} s")
        reply = json.loads(self._process.stdout.readline())
        assert reply["id"] == self._number
        if not reply["ok"]:
            raise OperationError(op, reply["error"]["kind"], reply["error"]["message"])
        return reply.get("value")

    def refused(self, op: str, **arguments: object) -> str:
        """Run an operation that has to fail, and return the kind of its error."""
        try:
            self.call(op, **arguments)
        except OperationError as failure:
            return failure.kind
        raise AssertionError(f"{op} succeeded; expected it to be refused")
