"""What every test may use."""

import os

import pytest
from hypothesis import settings

# The same examples in every run, so that a red run is about the change at hand; `explore` looks for new ones.
settings.register_profile("repeatable", derandomize=True)
settings.register_profile("explore", derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


@pytest.fixture
def anyio_backend() -> str:
    """Run async tests on asyncio, the loop the plugin is written for."""
    return "asyncio"
