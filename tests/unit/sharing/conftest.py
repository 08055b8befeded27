"""A real Redis for what only a real one can show."""

from collections.abc import Iterator

import pytest

from tests.kit.redis_server import RedisServer, find_server


@pytest.fixture
def server() -> Iterator[RedisServer]:
    if find_server() is None:
        pytest.skip("needs redis-server or valkey-server")
    with RedisServer() as running:
        yield running
