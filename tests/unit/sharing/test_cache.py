"""What stands in Redis about scale sets is input: it names what was asked, or it is absent."""

import json

import pytest

from scaleset_burst.cache.kinds import Kind
from scaleset_burst.sharing.cache import RedisCache
from scaleset_burst.sharing.keys import Keys
from scaleset_burst.sharing.store import RedisStore
from tests.kit.redis_server import RedisServer
from tests.unit.sharing.hosts import HandClock

pytestmark = pytest.mark.anyio

GOOD = {"id": 7, "name": "linux", "labels": []}


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        (GOOD, True),
        (GOOD | {"name": "Linux"}, True),
        (GOOD | {"name": "windows"}, False),
        (GOOD | {"id": [7]}, False),
        (GOOD | {"id": "7"}, False),
        (GOOD | {"id": True}, False),
        (GOOD | {"name": ["linux"]}, False),
        (GOOD | {"runner_group_id": {}}, False),
        ([], False),
    ],
)
async def test_only_a_value_that_names_what_was_asked_is_believed(
    server: RedisServer, fields: object, *, found: bool
) -> None:
    keys, store = Keys("test", "github.com/acme"), RedisStore(server.url, timeout=1.0)
    cache = RedisCache(store, keys, "me", clock=HandClock())
    place = keys.known(Kind.SCALE_SET_NAME.value, "default/linux")
    await store.claim(place, json.dumps({"life": 60_000, "set": fields}), 60_000)
    assert (await cache.get(Kind.SCALE_SET_NAME, "default/linux") is not None) is found
    await store.aclose()
