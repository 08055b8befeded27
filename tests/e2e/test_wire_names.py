"""From the hook to the wire: whatever a host calls its scale sets and prefixes, the service gets names it takes."""

import asyncio
import base64
import json
import random
import re

import httpx
from hypothesis import given, settings
from hypothesis import strategies as st

from scaleset_burst.engine import Engine
from scaleset_burst.settings import load_settings
from scaleset_burst.wiring import build_client
from scaleset_client.clock import SystemClock
from scaleset_hookspecs import JitConfig, ProvisionSettings, ScaleSetRef
from tests.kit.examples import examples

SETTINGS = load_settings(
    {
        "plugins": {
            "burst": {
                "github": {"config_url": "https://github.com/acme", "token": {"$env": "T"}},
                "journal": {"directory": ":memory:"},
            }
        }
    },
    environ={"T": "ghp_x"},
    read_file=lambda _: "",
)


class Service(httpx.AsyncBaseTransport):
    """Answers the token chain and every mint; keeps the names as they came over the wire."""

    def __init__(self) -> None:
        self.names: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if path.endswith("registration-token"):
            return httpx.Response(201, json={"token": "R", "expires_at": "2099-01-01T00:00:00Z"}, request=request)
        if path.endswith("runner-registration"):
            parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode() for part in ({}, {"exp": 4e9})]
            token = ".".join([*(part.rstrip("=") for part in parts), "x"])
            return httpx.Response(200, json={"url": "https://svc.example/rest", "token": token}, request=request)
        self.names.append(json.loads(request.content)["name"])
        runner = {"id": len(self.names), "name": self.names[-1], "runnerScaleSetId": 7}
        return httpx.Response(200, json={"runner": runner, "encodedJITConfig": "x"}, request=request)


@settings(max_examples=examples(60), deadline=None)
@given(
    name=st.text(min_size=1, max_size=150),
    prefixes=st.lists(st.text(max_size=150) | st.none(), min_size=1, max_size=3),
    seed=st.integers(0, 2**32),
)
def test_the_service_gets_names_it_takes(name: str, prefixes: list[str | None], seed: int) -> None:
    """At most 64 plain characters, none twice, each with its call's prefix and all of its random part."""

    async def main() -> None:
        service, clock = Service(), SystemClock()
        client = build_client(SETTINGS, clock=clock, random=random.Random(seed), transport=service)
        engine = Engine(SETTINGS, clock=clock, random=random.Random(seed), client=client)
        await engine.start()
        try:
            scale_set = ScaleSetRef(name=name, id=7)
            calls = [engine.provision(scale_set, 3, ProvisionSettings(name_prefix=each), None) for each in prefixes]
            answers = await asyncio.gather(*calls)
        finally:
            await engine.stop(1.0)
        for prefix, outcomes in zip(prefixes, answers, strict=True):
            for outcome in outcomes:
                assert isinstance(outcome, JitConfig)
                stem = re.sub("[^a-z0-9._-]", "-", (prefix or name).lower())[:50].strip("-") or "runner"
                assert outcome.runner_name[:-14] == stem
        assert all(re.fullmatch(r"[a-z0-9._-]{1,50}-[a-z2-7]{13}", each) for each in service.names)
        assert len(set(service.names)) == len(service.names) == 3 * len(prefixes)

    asyncio.run(main())
