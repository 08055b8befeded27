"""The portal: one loop in one thread, and what it refuses."""

import asyncio
import concurrent.futures
import threading
from collections.abc import Awaitable, Coroutine
from typing import Any

import pytest

from scaleset_hookspecs import HostError, JitConfig, Outcome, Rejected, ScaleSetRef, hookimpl
from scaleset_hookspecs.host import SyncHost, create_manager
from scaleset_hookspecs.host.testing import FakeProvisioner

SET = ScaleSetRef(name="linux")


class Life:
    """Notes on which thread its life passes."""

    def __init__(self) -> None:
        self.threads: list[str] = []
        self.release = asyncio.Event()
        self.inside = threading.Event()
        self.cancelled = False

    @hookimpl
    async def autoscaler_started(self) -> None:
        self.threads.append(threading.current_thread().name)

    @hookimpl
    async def autoscaler_stopping(self) -> None:
        self.threads.append(threading.current_thread().name)

    @hookimpl
    def provision_runners(self) -> Awaitable[tuple[Outcome, ...]]:
        return self._hang()

    async def _hang(self) -> tuple[Outcome, ...]:
        self.inside.set()
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        return ()


def test_one_thread_for_the_hosts_life() -> None:
    """Start, calls and stop happen on the same thread, which is gone afterwards."""
    life = Life()
    before = threading.active_count()
    with SyncHost(create_manager({}, plugins=[("life", life)])):
        assert threading.active_count() == before + 1
    assert set(life.threads) == {"scaleset-portal"}
    assert threading.active_count() == before


def test_calls_outside_its_life_are_refused() -> None:
    """Before the start and after the stop there is no loop to call."""
    host = SyncHost(create_manager({}, plugins=[("fake", FakeProvisioner("linux"))]))
    with pytest.raises(HostError, match="start"):
        host.provision_runners(SET, 1)
    host.start()
    assert len(host.provision_runners(SET, 3)) == 3
    host.stop()
    host.stop()
    with pytest.raises(HostError, match="stopped; make a new one, of a new manager"):
        host.provision_runners(SET, 1)
    with pytest.raises(HostError, match="once"):
        host.start()


def test_a_start_that_fails_reaches_the_caller() -> None:
    """What a plugin raises at start is raised by `start`, and the thread is gone."""

    class Refused:
        @hookimpl
        async def autoscaler_started(self) -> None:
            raise Rejected("wrong token", status=401)

    before = threading.active_count()
    with pytest.raises(Rejected, match="wrong token"), SyncHost(create_manager({}, plugins=[("p", Refused())])):
        pass
    assert threading.active_count() == before


def test_a_call_from_its_own_thread_is_refused() -> None:
    """It would wait for itself for ever."""
    manager = create_manager({}, plugins=[("fake", FakeProvisioner("linux"))])
    errors: list[Exception] = []
    with SyncHost(manager) as host:

        def on_ready(_config: JitConfig) -> None:
            try:
                host.get_scaleset_settings(SET)
            except HostError as error:
                errors.append(error)

        host.provision_runners(SET, 1, on_ready=on_ready)
    assert "own thread" in str(errors[0])


def test_a_call_that_takes_too_long_is_cancelled() -> None:
    """The time limit cancels the work, not just the waiting."""
    life = Life()
    with SyncHost(create_manager({}, plugins=[("life", life)]), call_timeout=0.05) as host:
        with pytest.raises(HostError, match="cancelled"):
            host.provision_runners(SET, 1)
        for _ in range(100):
            if life.cancelled:
                break
            threading.Event().wait(0.01)
    assert life.cancelled


def test_stopping_cancels_what_does_not_end() -> None:
    """Calls under way are cancelled after the time allowed, and hear why."""
    life = Life()
    host = SyncHost(create_manager({}, plugins=[("life", life)]), stop_timeout=0.05)
    host.start()
    heard: list[Exception] = []

    def call() -> None:
        try:
            host.provision_runners(SET, 1)
        except HostError as error:
            heard.append(error)

    caller = threading.Thread(target=call)
    caller.start()
    threading.Event().wait(0.05)
    host.stop()
    caller.join(5)
    assert not caller.is_alive()
    assert "stopping" in str(heard[0])


def test_calls_wait_for_the_start() -> None:
    """A plugin hears of no request before all of them have started."""
    inside, release = threading.Event(), threading.Event()

    class Slow:
        @hookimpl
        async def autoscaler_started(self) -> None:
            inside.set()
            await asyncio.to_thread(release.wait)

    host = SyncHost(create_manager({}, plugins=[("slow", Slow()), ("fake", FakeProvisioner("linux"))]))
    starter = threading.Thread(target=host.start)
    starter.start()
    inside.wait(5)
    with pytest.raises(HostError, match="starting"):
        host.provision_runners(SET, 1)
    with pytest.raises(HostError, match="starting"):
        host.on_demand_changed(SET, 1)
    release.set()
    starter.join(5)
    assert len(host.provision_runners(SET, 1)) == 1
    host.stop()


def test_an_interrupted_stop_leaves_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second Ctrl-C while the calls under way may still end: they are cancelled, and the process can end."""
    life = Life()
    host = SyncHost(create_manager({}, plugins=[("life", life)]))
    before = threading.active_count()
    host.start()

    def call() -> None:
        with pytest.raises(HostError, match="stopping"):
            host.provision_runners(SET, 1)

    caller = threading.Thread(target=call)
    caller.start()
    life.inside.wait(5)

    def interrupted(*_arguments: object, **_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("concurrent.futures.wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        host.stop()
    caller.join(5)
    assert life.cancelled
    assert threading.active_count() == before
    host.stop()


def test_a_second_stop_returns_when_the_first_has_ended() -> None:
    """Whoever returns from `stop` may rely on it: nothing runs any more."""
    inside, release = threading.Event(), threading.Event()

    class Slow:
        @hookimpl
        async def autoscaler_stopping(self) -> None:
            inside.set()
            await asyncio.to_thread(release.wait)

    host = SyncHost(create_manager({}, plugins=[("slow", Slow())]))
    host.start()
    first, second = threading.Thread(target=host.stop), threading.Thread(target=host.stop)
    first.start()
    inside.wait(5)
    second.start()
    second.join(0.1)
    assert second.is_alive()
    release.set()
    for thread in (first, second):
        thread.join(5)
        assert not thread.is_alive()


def test_a_result_that_comes_with_the_time_limit_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runners that were minted in the last moment exist: their configs must reach the caller."""
    submit = asyncio.run_coroutine_threadsafe

    def late(work: Coroutine[Any, Any, Any], loop: asyncio.AbstractEventLoop) -> concurrent.futures.Future[Any]:
        future = submit(work, loop)
        result = future.result

        def timed_out(timeout: float | None = None) -> object:
            value = result()
            if timeout is not None:
                raise TimeoutError
            return value

        monkeypatch.setattr(future, "result", timed_out)
        return future

    with SyncHost(create_manager({}, plugins=[("fake", FakeProvisioner("linux"))]), call_timeout=5.0) as host:
        monkeypatch.setattr(asyncio, "run_coroutine_threadsafe", late)
        assert len(host.provision_runners(SET, 3)) == 3
        monkeypatch.undo()


def test_observers_keep_their_order() -> None:
    """What one thread tells arrives in the order it was told."""
    fake = FakeProvisioner("linux")
    with SyncHost(create_manager({}, plugins=[("fake", fake)])) as host:
        for number in range(50):
            config = JitConfig(runner_id=number, runner_name=str(number), scale_set=SET, encoded="s", minted_at=0.0)
            host.after_runner_launched(SET, config)
        host.get_scaleset_settings(SET)
    assert fake.launched == [str(number) for number in range(50)]
