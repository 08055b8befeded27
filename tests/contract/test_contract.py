"""The contract suite, bound to the kit's fake, the example host's defaults, and the plugin."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from autoscaler.defaults import DefaultHooks
from scaleset_client import ScaleSetClient, TokenCredentials
from scaleset_hookspecs import ScaleSetRef, hookimpl
from scaleset_hookspecs.host import create_manager
from scaleset_hookspecs.host.testing import ContractSuite, FakeProvisioner, Subject
from scaleset_simulator import SimulatorProcess

KNOWN, UNKNOWN = ScaleSetRef(name="demo-linux"), ScaleSetRef(name="no-such-set")


class TestFake(ContractSuite):
    """The kit's fake."""

    @contextmanager
    def open(self) -> Iterator[Subject]:
        """Yield a manager with the fake."""
        fake = FakeProvisioner(KNOWN.name)
        manager = create_manager({}, plugins=[("fake", fake)])
        yield Subject(manager=manager, scale_set=KNOWN, unknown=UNKNOWN, registered=lambda: set(fake.runners))


class TestPlugin(ContractSuite):
    """The plugin, against the simulator."""

    @pytest.fixture(autouse=True)
    def _place(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.place = tmp_path
        monkeypatch.setenv("CONTRACT_TOKEN", "simulator-token")

    @contextmanager
    def open(self) -> Iterator[Subject]:
        """Yield a manager that loaded the plugin by its entry point."""
        with SimulatorProcess() as simulator:
            config = {
                "github": {"config_url": simulator.config_url, "token": {"$env": "CONTRACT_TOKEN"}},
                "plugins": {"burst": {"journal": {"directory": str(self.place)}}},
            }
            manager = create_manager(config)
            yield Subject(
                manager=manager,
                scale_set=KNOWN,
                unknown=UNKNOWN,
                registered=lambda: {str(runner["name"]) for runner in simulator.runners()},
            )


class _OwnedDefaults(DefaultHooks):
    """The example host's defaults, closing their client as the host does."""

    @hookimpl
    async def autoscaler_stopping(self) -> None:  # type: ignore[override]
        await self._client.aclose()


class TestDefaults(ContractSuite):
    """The example host's own hooks, against the simulator."""

    @contextmanager
    def open(self) -> Iterator[Subject]:
        """Yield a manager with nothing but the defaults."""
        with SimulatorProcess() as simulator:
            client = ScaleSetClient(simulator.config_url, TokenCredentials(token=simulator.token))
            manager = create_manager({}, defaults=_OwnedDefaults(client))
            yield Subject(
                manager=manager,
                scale_set=KNOWN,
                unknown=UNKNOWN,
                registered=lambda: {str(runner["name"]) for runner in simulator.runners()},
            )
