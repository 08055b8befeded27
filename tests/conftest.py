"""What every test may use."""

import gc
import os
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


if (
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN
):  # as in the background of a shell: programs under test would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests that start programs and wait for them, so that none is left when the rest is done."""
    items.sort(key=lambda item: "tests/e2e/" not in item.path.as_posix() and item.path.name != "test_console.py")


def pytest_collection_finish() -> None:
    """Look for garbage less often, and never in what was loaded: a sixth of the tests' time went into that."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)


@pytest.fixture
def anyio_backend() -> str:
    """Run async tests on asyncio, the loop the plugin is written for."""
    return "asyncio"


@pytest.fixture(autouse=True, scope="session")
def _programs() -> Iterator[None]:
    with preloaded_programs():
        yield
