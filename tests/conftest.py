"""What every test may use."""

import gc
import os
import random
import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.kit.programs import preloaded_programs

# The same examples in every run, so that a red run is about the change at hand; `thorough` tries four times
# as many, `explore` looks for new ones.
settings.register_profile("repeatable", derandomize=True)
settings.register_profile("thorough", derandomize=True)
settings.register_profile("explore", derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

gc.set_threshold(20_000, 20, 100)  # a sixth of the time went into looking for garbage


if (
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN
):  # as in the background of a shell: programs under test would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Spread the tests that start programs, and wait for them, among those that compute; all early, so none is last."""
    waiting = [item for item in items if "tests/e2e/" in item.path.as_posix() or item.path.name == "test_console.py"]
    random.Random(0).shuffle(waiting)  # the same in every run; their neighbours in a file wait as long
    waits = set(waiting)
    computing = [item for item in items if item not in waits]
    each = max(1, len(computing) * 4 // 5 // max(1, len(waiting)))
    items[:] = [
        item
        for number in range(max(len(waiting), -(-len(computing) // each)))
        for item in (*waiting[number : number + 1], *computing[number * each : (number + 1) * each])
    ]


@pytest.fixture
def anyio_backend() -> str:
    """Run async tests on asyncio, the loop the plugin is written for."""
    return "asyncio"


@pytest.fixture(autouse=True, scope="session")
def _programs() -> Iterator[None]:
    with preloaded_programs():
        yield
