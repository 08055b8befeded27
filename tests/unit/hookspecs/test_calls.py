"""The typed calls of async hosts."""

import asyncio
import logging
from collections.abc import Generator

import pytest

from scaleset_hookspecs import (
    FailureReason,
    HostError,
    JitConfig,
    JobCompleted,
    JobStarted,
    Outcome,
    ProvisionSettings,
    RunnerRef,
    ScaleSetRef,
    Statistics,
    Unavailable,
    UsageError,
    hookimpl,
    specs,
)
from scaleset_hookspecs.host import AsyncHost, create_manager
from scaleset_hookspecs.host.testing import FakeProvisioner

SET = ScaleSetRef(name="linux")
HOOKS = [name for name, value in vars(specs).items() if hasattr(value, "scaleset_autoscaler_spec")]
pytestmark = pytest.mark.anyio


class Defaults:
    """A default that counts what it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    @hookimpl(trylast=True)
    def provision_runners(self, count: int) -> tuple[Outcome, ...]:
        self.asked += 1
        fake = JitConfig(runner_id=1, runner_name="d", scale_set=SET, encoded="s", minted_at=0.0)
        return (fake,) * count


class Down:
    """A plugin whose service is down."""

    @hookimpl
    def provision_runners(self) -> tuple[Outcome, ...]:
        raise Unavailable("down", retry_after=5.0)


async def test_nobody_answers() -> None:
    """A host without defaults hears what to do."""
    host = AsyncHost(create_manager({}, plugins=[("fake", FakeProvisioner("linux", declines=True))]))
    with pytest.raises(HostError, match="nobody answers provision_runners"):
        await host.provision_runners(SET, 1)
    with pytest.raises(HostError, match="get_runner_info"):
        await host.get_runner_info(SET, RunnerRef(name="x"))


async def test_declining_lets_the_default_answer() -> None:
    """`None` is "not mine"; the default comes last."""
    defaults = Defaults()
    plugin = FakeProvisioner("linux", declines=True)
    host = AsyncHost(create_manager({}, defaults=defaults, plugins=[("fake", plugin)]))
    await host.provision_runners(SET, 2)
    plugin.declines = False
    await host.provision_runners(SET, 2)
    assert defaults.asked == 1


async def test_falling_back_is_the_hosts_choice(caplog: pytest.LogCaptureFixture) -> None:
    """Raising is not declining; only a host that opted in gets its default, and hears of it once."""
    defaults = Defaults()
    manager = create_manager({}, defaults=defaults, plugins=[("down", Down())])
    with pytest.raises(Unavailable):
        await AsyncHost(manager).provision_runners(SET, 1)
    host = AsyncHost(manager, fall_back=True)
    with caplog.at_level(logging.WARNING):
        assert len(await host.provision_runners(SET, 1)) == 1
        await host.provision_runners(SET, 1)
    assert defaults.asked == 2
    assert len(caplog.records) == 1


@pytest.mark.parametrize("count", [0, -1, True, 1.5, "3"])
async def test_a_count_that_cannot_be_reaches_no_plugin(count: object) -> None:
    """The kit refuses it first."""
    fake = FakeProvisioner("linux")
    host = AsyncHost(create_manager({}, plugins=[("fake", fake)]))
    with pytest.raises(UsageError):
        await host.provision_runners(SET, count)  # type: ignore[arg-type]
    with pytest.raises(UsageError):
        await host.provision_runners(SET, 5, ProvisionSettings(max_runners=4))
    with pytest.raises(UsageError):
        await host.provision_runners(SET, 1, ProvisionSettings(deadline=0.0))
    assert fake.runners == {}


async def test_a_broken_plugin_is_caught() -> None:
    """Fewer outcomes than asked for break the contract."""

    class Short:
        @hookimpl
        def provision_runners(self) -> tuple[Outcome, ...]:
            return ()

    host = AsyncHost(create_manager({}, plugins=[("short", Short())]))
    with pytest.raises(HostError, match="answered 0 outcomes"):
        await host.provision_runners(SET, 1)


async def test_observers_are_isolated() -> None:
    """One that raises stops neither the others nor the host."""

    class Broken:
        @hookimpl
        def after_runner_launched(self) -> None:
            raise ValueError("bug")

    first, second = FakeProvisioner("linux"), FakeProvisioner("linux")
    plugins = [("a", first), ("broken", Broken()), ("b", second)]
    host = AsyncHost(create_manager({}, plugins=plugins))
    config = JitConfig(runner_id=1, runner_name="r", scale_set=SET, encoded="s", minted_at=0.0)
    host.after_runner_launched(SET, config)
    assert first.launched == second.launched == ["r"]


async def test_failures_are_outcomes() -> None:
    """A typed failure stands in request order."""
    fake = FakeProvisioner("linux")
    fake.failures = [FailureReason.REJECTED]
    outcomes = await AsyncHost(create_manager({}, plugins=[("fake", fake)])).provision_runners(SET, 2)
    assert [type(outcome).__name__ for outcome in outcomes] == ["MintFailure", "JitConfig"]


@pytest.mark.parametrize("broken_first", [True, False])
async def test_a_plugin_that_raises_keeps_no_other_from_starting_and_stopping(
    broken_first: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever the order and whether it raises at once: a plugin that nobody tells to stop loses what it holds."""
    heard: list[str] = []

    class Broken:
        @hookimpl
        def autoscaler_started(self) -> None:
            raise ValueError("bug at start")

        @hookimpl
        def autoscaler_stopping(self) -> None:
            raise ValueError("bug at stop")

    class Foreign:
        """Answers what can be awaited on another loop only."""

        @hookimpl
        def autoscaler_stopping(self) -> object:
            loop = asyncio.new_event_loop()
            loop.close()
            return asyncio.Future(loop=loop)

    class Good:
        @hookimpl
        async def autoscaler_started(self) -> None:
            heard.append("started")

        @hookimpl
        async def autoscaler_stopping(self) -> None:
            heard.append("stopping")

    plugins: list[tuple[str, object]] = [("good", Good()), ("foreign", Foreign()), ("broken", Broken())]
    host = AsyncHost(create_manager({}, plugins=plugins[::-1] if broken_first else plugins))
    with pytest.raises(ValueError, match="bug at start"):
        await host.started()
    await host.stopping()
    assert heard == ["started", "stopping"]
    assert "bug at stop" in caplog.text
    assert "attached to a different loop" in caplog.text


@pytest.mark.parametrize("time_limit", [0.0, 0.01])
async def test_stopping_is_bounded(caplog: pytest.LogCaptureFixture, time_limit: float) -> None:
    """A plugin that never stops does not keep the host; one that could not even begin is no warning of Python's."""

    class Stuck:
        @hookimpl
        async def autoscaler_stopping(self) -> None:
            await asyncio.Event().wait()

    await AsyncHost(create_manager({}, plugins=[("stuck", Stuck())])).stopping(time_limit=time_limit)
    assert "did not stop" in caplog.text


async def test_wrappers_order_and_monitoring_work_for_every_hook() -> None:
    """The kit called observers and life hooks past pluggy, so that no wrapper ever ran round them."""
    ran: list[str] = []

    class Traces:
        """A wrapper of every hook, old style and new."""

    for name in HOOKS:

        def new(name: str = name) -> Generator[None, object, object]:
            ran.append(name)
            return (yield)

        setattr(Traces, name, staticmethod(hookimpl(wrapper=True)(new)))

    class Told(FakeProvisioner):
        @hookimpl
        def after_job_started(self) -> None:
            raise ValueError("bug")

    manager = create_manager(
        {}, plugins=[("traces", Traces()), ("told", Told("linux")), ("fake", FakeProvisioner("linux"))]
    )
    seen: list[tuple[str, tuple[str, ...]]] = []
    manager.add_hookcall_monitoring(
        lambda name, implementations, _: seen.append((name, tuple(each.plugin_name for each in implementations))),
        lambda *_: None,
    )
    host = AsyncHost(manager)
    config = JitConfig(runner_id=1, runner_name="r", scale_set=SET, encoded="s", minted_at=0.0)
    runner = RunnerRef(name="r")
    await host.started()
    await host.provision_runners(SET, 1)
    await host.get_scaleset_settings(SET)
    await host.get_runner_info(SET, runner)
    host.after_runner_launched(SET, config)
    host.on_scaleset_statistics(SET, Statistics())
    host.on_demand_changed(SET, 1)
    host.after_job_started(SET, JobStarted(job_id="1", runner=runner, request_id=1))
    host.after_job_completed(SET, JobCompleted(job_id="1", runner=runner, request_id=1, result="succeeded"))
    host.after_runner_removed(SET, runner)
    await host.stopping()
    assert sorted(ran) == sorted(HOOKS)
    assert [name for name, _ in seen] == [name for name in ran if name != "autoscaler_configure"]
    assert ("after_job_started", ("told", "traces")) in seen


async def test_a_wrapper_that_raises_is_logged_or_raised_and_ends_no_host(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        @hookimpl(wrapper=True)
        def autoscaler_started(self) -> Generator[None, object, object]:
            yield
            raise ValueError("bug of the wrapper")

        @hookimpl(wrapper=True)
        def on_demand_changed(self) -> Generator[None, object, object]:
            yield
            raise ValueError("bug of the wrapper")

    host = AsyncHost(create_manager({}, plugins=[("broken", Broken())]))
    with pytest.raises(ValueError, match="bug of the wrapper"):
        await host.started()
    host.on_demand_changed(SET, 1)
    assert "bug of the wrapper" in caplog.text


def test_a_second_loop_is_refused(anyio_backend: str) -> None:
    """Its connections belong to the first; the failure was reported as one of the service."""
    host = AsyncHost(create_manager({}, plugins=[("fake", FakeProvisioner("linux"))]))
    asyncio.run(host.started())
    for call in (host.started, host.stopping, lambda: host.provision_runners(SET, 1)):
        with pytest.raises(HostError, match="another event loop"):
            asyncio.run(call())

    async def tell() -> None:
        host.on_demand_changed(SET, 1)

    with pytest.raises(HostError, match="another event loop"):
        asyncio.run(tell())
