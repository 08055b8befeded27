"""What every test may use."""

import os
import signal

import pytest
from hypothesis import settings

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


@pytest.fixture
def anyio_backend() -> str:
    """Run async tests on asyncio, the loop the plugin is written for."""
    return "asyncio"
