"""Every console block of the pages is run as it is printed, or says in the page why it is not.

A page is one session: its blocks run in their order, in a copy of the clone, against a port that is free. A comment
before a block may say `<!-- not run: WHY -->`, or `<!-- in a terminal of its own -->`: that one runs on until the page
ends. What a page shows below a command has to come, in this order; numbers may differ, `…` stands for anything.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from scaleset_simulator import SimulatorProcess
from tests.e2e.hosting import free_port

ROOT = Path(__file__).resolve().parents[2]
LIMIT_SECONDS = 60.0
TERMINAL = "in a terminal of its own"
NOT_RUN = "not run: "

FOLDERS = {"docs/tutorial/adopting.md": "docs/tutorial", "docs/reference/commands.md": "examples"}
"""Where a reader of these pages is, if not at the top of the clone."""

OWN = {"generate-config": "cat config.yaml", "launch-each": "cat >>launched", "start-machine": 'echo "$1" >>launched'}
"""Programs of the reader's own that the page on commands calls."""

BLOCK = re.compile(r"(?:^<!-- ([^\n]*) -->\n)?^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A block of a page: what is typed, what is shown, and the comment before it."""

    script: str
    shown: tuple[str, ...]
    note: str


def blocks(page: Path) -> list[Block]:
    """Return the console blocks of a page."""
    found = []
    for note, text in BLOCK.findall(page.read_text()):
        typed, shown, end = [], [], None
        for line in text.splitlines():
            if end is None and not line.startswith("$ "):
                shown.append(line)
                continue
            typed.append(line.removeprefix("$ ") if end is None else line)
            here = re.search(r"<<'(\w+)'", line) if end is None else None
            if here is not None:
                end = here[1]
            elif end is not None:
                end = None if line in {end, ""} or (end == "\\" and not line.endswith("\\")) else end
            elif line.endswith("\\"):
                end = "\\"
        found.append(Block(script="\n".join(typed), shown=tuple(shown), note=note))
    return found


def missing(shown: tuple[str, ...], printed: str) -> str | None:
    """Return the first line that is shown and was not printed in its turn."""
    lines = iter(printed.splitlines())
    for line in shown:
        parts = re.split(r"(…|\d[\d.,:]*)", line)
        anything = {"…": ".*"}
        pattern = "".join(r"[\d.,:]+" if part[:1].isdigit() else anything.get(part, re.escape(part)) for part in parts)
        if line != "…" and not any(re.fullmatch(pattern, each) for each in lines):
            return line
    return None


class Session:
    """A reader's terminals, in a copy of the clone."""

    def __init__(self, folder: Path, cwd: str, port: int) -> None:
        for name in ("examples", "docs"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        config = folder / "examples" / "config.yaml"
        config.write_text(config.read_text().replace("8080", str(port)))
        for name, program in OWN.items():
            (folder / "examples" / name).write_text(f"#!/bin/sh\n{program}\n")
            (folder / "examples" / name).chmod(0o755)
        self._folder, self._cwd, self._port = folder, folder / cwd, port
        (folder / ".curlrc").write_text("fail\n")  # else a refusal counts as success
        bin_folder = Path(sys.executable).parent
        self._environment = {
            **{name: value for name, value in os.environ.items() if "proxy" not in name.lower()},
            "PATH": f"{bin_folder}:{self._cwd}:{os.environ['PATH']}",
            "XDG_STATE_HOME": str(folder / "state"),
            "CURL_HOME": str(folder),
            "PYTHONUNBUFFERED": "1",
        }
        self._running: list[subprocess.Popen[bytes]] = []

    def run(self, block: Block) -> None:
        """Type what the block says, and compare what comes."""
        script = block.script.replace("8080", str(self._port))
        script = re.sub(r"(scaleset-burst simulate)\b", rf"\1 --port {self._port}", script)
        output = self._folder / f"printed-{len(list(self._folder.glob('printed-*')))}"
        command = ["bash", "-euo", "pipefail", "-c", script]
        with output.open("wb") as file:
            shell = subprocess.Popen(
                command, cwd=self._cwd, env=self._environment, stdout=file, stderr=file, start_new_session=True
            )
        self._running.append(shell)
        until = time.monotonic() + LIMIT_SECONDS
        while self._goes_on(block, shell, output.read_text()):
            assert time.monotonic() < until, f"{script}\n\nstill runs after printing\n{output.read_text()}"
            time.sleep(0.05)
        printed = output.read_text().replace(str(self._port), "8080")
        if block.note != TERMINAL:
            assert shell.returncode == 0, f"{script}\n\nfailed:\n{printed}"
        assert missing(block.shown, printed) is None, f"{missing(block.shown, printed)!r} is not in\n{printed}"

    @staticmethod
    def _goes_on(block: Block, shell: subprocess.Popen[bytes], printed: str) -> bool:
        """Whether there is more to wait for: the end, or of what runs on what the page shows of it."""
        waits = missing(block.shown, printed) is not None or not printed
        return shell.poll() is None and (block.note != TERMINAL or waits)

    def close(self) -> None:
        """Close the terminals, the newest first."""
        for shell in reversed(self._running):
            if shell.poll() is None:
                os.killpg(shell.pid, signal.SIGINT)
            shell.wait(LIMIT_SECONDS)


@contextmanager
def session(folder: Path, page: str, *, service: bool) -> Iterator[Session]:
    """Open a session; with a simulator where the page does not start one."""
    port = free_port()
    opened = Session(folder, FOLDERS.get(page, "."), port)
    try:
        if service:
            with SimulatorProcess(f"--port={port}"):
                yield opened
        else:
            yield opened
    finally:
        opened.close()


PAGES = [
    str(page.relative_to(ROOT))
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
    if "```console" in page.read_text()
]


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
@pytest.mark.parametrize("page", PAGES)
def test_every_console_block_works_as_printed(page: str, tmp_path: Path) -> None:
    found = [block for block in blocks(ROOT / page) if not block.note.startswith(NOT_RUN)]
    starts_one = any("scaleset-burst simulate" in block.script for block in found)
    with session(tmp_path, page, service=bool(found) and not starts_one) as opened:
        for block in found:
            opened.run(block)


def test_a_block_that_is_not_run_says_why() -> None:
    every = [block for page in PAGES for block in blocks(ROOT / page)]
    assert len(every) > 15
    assert len([block for block in every if not block.note.startswith(NOT_RUN)]) > 8
    assert [block.note for block in every if block.note and block.note != TERMINAL and len(block.note) < 20] == []


def test_what_is_shown_is_looked_for_in_its_order() -> None:
    assert missing(("a 1.5 s", "…", "b …"), "x\na 22 s\ny\nb anything\n") is None
    assert missing(("b", "a"), "a\nb\n") == "a"
    assert missing(("a 1",), "a x\n") == "a 1"
