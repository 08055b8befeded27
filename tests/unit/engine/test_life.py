"""The life of an engine over a model of the service: it opens what it needs, and closes it whatever fails."""

import asyncio
import gc
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from scaleset_burst import reconciler
from scaleset_burst.engine import Engine
from scaleset_burst.journal import Change, DatabaseJournal, State
from scaleset_burst.settings import load_settings
from scaleset_client import ScaleSetClient
from scaleset_client.types import ScaleSet
from scaleset_hookspecs import (
    FailureReason,
    JitConfig,
    JobCompleted,
    ProvisionSettings,
    RunnerRef,
    ScaleSetRef,
    Unavailable,
)
from tests.kit.service import ModelService

LINUX = ScaleSetRef(name="linux")
PLAIN = ProvisionSettings()


class ModelClient(ModelService):
    """The model with the parts of a client that an engine uses beside the mints."""

    scope = "github.com/acme"
    connections_open = 0
    closed = False

    async def connect(self) -> None:
        """Be connected."""

    async def warm(self, count: int) -> int:
        """Open nothing."""
        return count

    async def aclose(self) -> None:
        """Note the end."""
        self.closed = True

    async def get_scale_set_by_name(self, name: str, runner_group_id: int = 1) -> ScaleSet | None:
        """Know every scale set."""
        self.requests["look-up"] += 1
        await asyncio.sleep(self.latency)
        return ScaleSet(id=42, name=name, runner_group_id=runner_group_id)


def make_engine(client: ModelClient, place: Path) -> Engine:
    """Make an engine with its journal in a directory of the test."""
    section = {
        "github": {"config_url": "https://github.com/acme", "token": {"$env": "TOKEN"}},
        "journal": {"directory": str(place), "launch_grace": 0.1},
    }
    settings = load_settings({"plugins": {"burst": section}}, environ={"TOKEN": "x"}, read_file=lambda _: "")
    as_client: Callable[[ModelClient], ScaleSetClient] = lambda model: model  # type: ignore[assignment,return-value]  # noqa: E731
    return Engine(settings, client=as_client(client))


def full(*_: object) -> None:
    """Fail as a write to a full disk does."""
    raise sqlite3.OperationalError("database or disk is full")


def test_a_full_disk_keeps_nobody_from_ending(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client is closed, and the names of the process are there for the next one to take."""

    async def main() -> None:
        client = ModelClient()
        engine = make_engine(client, tmp_path)
        await engine.start()
        await engine.provision(LINUX, 5, PLAIN, None)
        with monkeypatch.context() as patched:
            patched.setattr(DatabaseJournal, "_transaction", full)
            await engine.stop()
        assert client.closed
        assert list(tmp_path.glob("*/owner-*")) == []

    asyncio.run(main())


def test_a_full_disk_keeps_nobody_from_starting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What dead processes left is looked for again later, also after a look that failed."""

    async def main() -> None:
        client = ModelClient()
        monkeypatch.setattr(reconciler, "ADOPT_SECONDS", 0.02)
        dead = make_engine(client, tmp_path)
        await dead.provision(LINUX, 5, PLAIN, None)
        journal = next(tmp_path.iterdir())
        engine = make_engine(client, tmp_path)
        with monkeypatch.context() as patched:
            patched.setattr(DatabaseJournal, "adopt", full)
            await engine.start()
            await asyncio.sleep(0.1)
        left = DatabaseJournal(journal)
        left.write([Change(name="left", state=State.RESERVED, scale_set_id=42)])
        left._database.close()
        left.owner.drop()  # what the kernel does when a process dies
        await asyncio.sleep(0.2)
        assert len(engine.minter.resolver) == 1
        await dead.stop(0.1)
        await engine.stop(0.1)

    asyncio.run(main())


def test_a_stop_that_is_cancelled_closes_all_the_same(tmp_path: Path) -> None:
    """A host that has no more time for it leaves no connection open, no journal locked, and no ghost for good."""

    async def main() -> None:
        client = ModelClient(fault=lambda _name: "hang")
        engine = make_engine(client, tmp_path)
        call = asyncio.create_task(engine.provision(LINUX, 5, PLAIN, None))
        await asyncio.sleep(0.3)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(engine.stop(), 0.1)
        assert client.closed
        assert list(tmp_path.glob("*/owner-*")) == []
        outcomes = await asyncio.wait_for(call, 60.0)
        assert [getattr(outcome, "reason", None) for outcome in outcomes] == [FailureReason.STOPPED] * 5
        assert len(client.runners) == 5
        survivor = make_engine(client, tmp_path)
        await survivor.start()
        while client.runners:
            await asyncio.sleep(0.02)
        await survivor.stop()

    asyncio.run(main())


def test_a_clean_end_leaves_nothing_to_look_for(tmp_path: Path) -> None:
    """Names that were written down ahead and never sent are closed."""

    async def main() -> None:
        engine = make_engine(ModelClient(), tmp_path)
        await engine.provision(LINUX, 300, PLAIN, None)
        await engine.stop()
        journal = DatabaseJournal(next(tmp_path.iterdir()))
        assert journal.adopt() == ()
        journal.close()

    asyncio.run(main())


def test_a_host_may_report_launches_after_the_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A machine that was under way when the host stopped is reported to a journal that is closed."""

    async def main() -> None:
        engine = make_engine(ModelClient(), tmp_path)
        outcomes = await engine.provision(LINUX, 2, PLAIN, None)
        await engine.stop()
        for config in outcomes:
            assert isinstance(config, JitConfig)
            engine.runner_launched(LINUX, config)
        await asyncio.sleep(0.05)

    asyncio.run(main())
    gc.collect()
    assert "never retrieved" not in caplog.text


def test_after_the_end_nothing_is_opened(tmp_path: Path) -> None:
    """Neither a call nor news opens a journal that nobody would close."""

    async def main() -> None:
        client = ModelClient()
        engine = make_engine(client, tmp_path)
        await engine.stop()
        with pytest.raises(Unavailable, match="stopping"):
            await engine.provision(LINUX, 2, PLAIN, None)
        engine.job_completed(LINUX, JobCompleted(job_id="j", result="succeeded", runner=RunnerRef(name="r")))
        engine.demand_changed(LINUX, 3)
        assert list(tmp_path.iterdir()) == []
        assert client.requests == {}

    asyncio.run(main())


def test_a_prefix_holds_from_its_call_on(tmp_path: Path) -> None:
    """Names that were written down ahead for an earlier prefix are not used for another one."""

    async def main() -> None:
        client = ModelClient()
        engine = make_engine(client, tmp_path)
        for prefix in ("one", "two"):
            wanted = ProvisionSettings(name_prefix=prefix)
            for outcome in await engine.provision(LINUX, 300, wanted, None):
                assert isinstance(outcome, JitConfig)
                assert outcome.runner_name.startswith(f"{prefix}-")
        await engine.stop()

    asyncio.run(main())


def test_a_deadline_counts_from_the_call(tmp_path: Path) -> None:
    """Looking the scale set up is part of the host's time, however long the service takes for it."""

    async def main() -> None:
        client = ModelClient(latency=3600.0)
        engine = make_engine(client, tmp_path)
        call = engine.provision(LINUX, 3, ProvisionSettings(deadline=0.1), None)
        outcomes = await asyncio.wait_for(call, 60.0)
        assert [getattr(outcome, "reason", None) for outcome in outcomes] == [FailureReason.DEADLINE] * 3
        assert client.requests["mint"] == 0
        await engine.stop()

    asyncio.run(main())
