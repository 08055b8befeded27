"""Ours: the whole plugin as a host uses it (`plugin`), or its client alone with workers around it (`client`)."""

import asyncio
import gc
import sys
from typing import Any

from benchmarks.peers.conversation import Meter, converse, flood
from scaleset_burst.engine import Engine
from scaleset_burst.settings import load_settings
from scaleset_client import ConnectionOptions, ScaleSetClient, TokenCredentials
from scaleset_hookspecs import JitConfig, ProvisionSettings, ScaleSetRef
from scaleset_hookspecs.configuration import read_text


class Plugin:
    """The engine behind the hooks, with its journal, its limits and its cache.

    Args:
        redis: URL of a Redis to share the limits through; `None`: alone.
        traces: Whether it makes spans.
    """

    def __init__(self, redis: str | None = None, *, traces: bool = False) -> None:
        self._redis = redis
        self._more: dict[str, Any] = {"traces": True} if traces else {}

    async def connect(self, order: dict[str, Any]) -> None:
        """Open the client and resolve the scale set."""
        most = order["concurrency"]
        batch = {"max_concurrency": most, "slice": order["slice"]}
        connections = {"max": most * order["queues"], "warm": order["warm"], "ca_file": order["ca_file"]}
        burst = {
            **self._more,
            "batch": {**batch, "max_concurrency": "auto" if order.get("auto") else most * order["queues"]},
            "budget": {"registrations": 10_000_000, "group_capacity": 10_000_000},
            "connections": {key: value for key, value in connections.items() if value is not None},
            "journal": {"directory": order["journal"]},
            "scale_sets": {name: {"max_concurrency": most} for name in ("bench-a", "bench-b")},
        }
        if self._redis:
            burst["sharing"] = {"url": self._redis}
        github = {"config_url": order["config_url"], "token": {"$env": "BENCH_TOKEN"}}
        settings = load_settings(
            {"github": github, "plugins": {"burst": burst}},
            environ={"BENCH_TOKEN": order["token"]},
            read_file=read_text,
        )
        self._engine = Engine(settings)
        await self._engine.start()
        while self._redis and not getattr(self._engine.admission.budget, "online", False):
            await asyncio.sleep(0.1)  # an empty Redis grants nothing for its first seconds
        if order["warm"]:
            await asyncio.gather(*(self._engine.metadata.scale_set_id(_ref(name)) for name in ("bench-a", "bench-b")))

    async def burst(self, order: dict[str, Any], meter: Meter) -> None:
        """Mint as many as the order says."""
        sets = order.get("sets") or ["bench-a"]
        await asyncio.gather(*(self._provision(_ref(name), order["count"], meter) for name in sets))

    async def _provision(self, scale_set: ScaleSetRef, count: int, meter: Meter) -> None:
        def ready(config: JitConfig) -> None:
            meter.took(config.encoded)

        outcomes = await self._engine.provision(scale_set, count, ProvisionSettings(), ready)
        failed = [outcome for outcome in outcomes if not isinstance(outcome, JitConfig)]
        if failed:
            meter.error = f"{len(failed)} of {count} failed: {failed[0]}"
        for outcome in outcomes:
            if isinstance(outcome, JitConfig):
                self._engine.runner_launched(scale_set, outcome)

    async def close(self) -> None:
        """Close."""
        await self._engine.stop()


class ClientOnly:
    """The client's `generate_jit_config` in workers: what the peers' programs do."""

    async def connect(self, order: dict[str, Any]) -> None:
        """Open the client and resolve the scale set."""
        self._most = order["concurrency"]
        options = ConnectionOptions(max_connections=self._most, ca_file=order["ca_file"])
        self._client = ScaleSetClient(order["config_url"], TokenCredentials(token=order["token"]), options=options)
        await self._client.connect()
        if order["warm"]:
            await self._client.warm(order["warm"])
        found = await self._client.get_scale_set_by_name(order["scale_set"])
        assert found is not None
        self._id = found.id

    async def _mint(self, name: str) -> str:
        return (await self._client.generate_jit_config(self._id, name, "_work")).encoded_jit_config

    async def burst(self, order: dict[str, Any], meter: Meter) -> None:
        """Mint as many as the order says."""
        await flood(order["count"], self._most, self._mint, meter)

    async def close(self) -> None:
        """Close."""
        await self._client.aclose()


def _ref(name: str) -> ScaleSetRef:
    return ScaleSetRef(name=name)


if __name__ == "__main__":
    gc.freeze()
    where = sys.argv[sys.argv.index("--redis") + 1] if "--redis" in sys.argv else None
    client = Plugin(where) if sys.argv[1] == "plugin" else ClientOnly()
    if "--uvloop" in sys.argv:
        import uvloop

        uvloop.run(converse(client))
    else:
        asyncio.run(converse(client))
