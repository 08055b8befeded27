"""What every test may use."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """Run async tests on asyncio, the loop the plugin is written for."""
    return "asyncio"
