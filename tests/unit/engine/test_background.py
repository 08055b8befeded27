"""Work beside the host's calls: it ends with its owner, and its failures are said."""

import asyncio
import gc
import logging

import pytest

from scaleset_burst.background import Background
from scaleset_hookspecs import Unavailable

pytestmark = pytest.mark.anyio


async def fails(error: Exception) -> None:
    raise error


async def test_work_that_ends_before_it_begins_is_no_warning() -> None:
    """A host that was told to stop as soon as it ran said that a coroutine was never awaited."""
    background = Background()
    background.spawn(asyncio.sleep(60), "rest")
    background.cancel()
    while background._tasks:
        await asyncio.sleep(0)
    gc.collect()  # what was never awaited is a warning now, and so an error


@pytest.mark.parametrize(
    ("error", "level", "said"),
    [
        (Unavailable("the service is down"), logging.WARNING, "adopt failed, the next occasion tries again"),
        (KeyError("ours"), logging.ERROR, "adopt failed"),
    ],
)
async def test_a_failure_ends_its_own_task_and_is_said_once(
    error: Exception, level: int, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    background = Background()
    await background.begin(fails(error), "adopt", patience=5.0)
    await asyncio.sleep(0)
    (record,) = caplog.records
    assert record.levelno == level
    assert said in record.getMessage()
