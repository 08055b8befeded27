"""When a config counts as taken: its line was read, however the reader reads, and nothing of what it left."""

import asyncio
import json
import os
from pathlib import Path

import pytest

from scaleset_burst.cli.taking import Lines, secret_variables
from scaleset_hookspecs import JitConfig, ScaleSetRef

LINUX = ScaleSetRef(name="linux", id=7)


def config(number: int, length: int) -> JitConfig:
    name = f"linux-{number}"
    return JitConfig(runner_id=number, runner_name=name, scale_set=LINUX, encoded="x" * length, minted_at=1.0)


@pytest.mark.parametrize("length", [10, 4_000, 5_000, 30_000, 200_000])
@pytest.mark.parametrize("piece", [7_000, 100_000])
def test_a_line_is_taken_when_it_is_read_in_whatever_pieces(length: int, piece: int) -> None:
    async def main() -> None:
        read, write = os.pipe()
        lines, got = Lines(write), b""
        os.set_blocking(read, False)
        for number in range(3):
            taking = asyncio.ensure_future(lines.take(config(number, length)))
            while not taking.done():
                await asyncio.sleep(0)
                try:
                    got += os.read(read, piece)
                except BlockingIOError:
                    continue
            await taking
            assert got.count(b"\n") == number + 1
        lines.close()
        assert [json.loads(line)["runner_id"] for line in got.splitlines()] == [0, 1, 2]
        os.close(read)
        os.close(write)

    asyncio.run(main())


@pytest.mark.parametrize("read_first", [0, 1, 3_000])
def test_what_a_reader_that_goes_has_not_read_whole_is_not_taken(read_first: int) -> None:
    async def main() -> None:
        read, write = os.pipe()
        taking = asyncio.ensure_future(Lines(write).take(config(1, 5_000)))
        await asyncio.sleep(0.01)
        if read_first:
            os.read(read, read_first)
        os.close(read)
        with pytest.raises(BrokenPipeError):
            await taking
        os.close(write)

    asyncio.run(main())


def test_a_whole_line_is_left_to_whoever_reads_later_and_the_pipe_gets_its_size_back() -> None:
    async def main() -> None:
        read, write = os.pipe()
        lines = Lines(write)
        taking = asyncio.ensure_future(lines.take(config(1, 5_000)))
        await asyncio.sleep(0.01)
        assert not taking.done()
        lines.close()
        await taking
        assert json.loads(os.read(read, 65_536))["runner_id"] == 1
        os.set_blocking(write, False)
        assert os.write(write, b"x" * 65_536) > 16_384
        with pytest.raises(BrokenPipeError):
            await lines.take(config(2, 5_000))

    asyncio.run(main())


def test_to_a_file_it_is_taken_when_it_is_written(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as file:
        asyncio.run(Lines(file.fileno()).take(config(1, 100)))
    assert json.loads((tmp_path / "out").read_text())["jit_config"] == "x" * 100


def test_variables_that_hold_secrets_are_found_wherever_they_stand() -> None:
    config = {"github": {"token": {"$env": "A"}}, "more": [{"x": {"$env": "B"}}, {"$file": "C"}], "n": 1}
    assert set(secret_variables(config)) == {"A", "B"}
