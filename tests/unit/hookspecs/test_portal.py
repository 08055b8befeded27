"""The portal: one loop in one thread, and what it refuses."""

import asyncio
import concurrent.futures
import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from scaleset_hookspecs import (
    FailureReason,
    HostError,
    JitConfig,
    MintFailure,
    Outcome,
    Rejected,
    ScaleSetRef,
    hookimpl,
)
from scaleset_hookspecs.host import AsyncHost, SyncHost, create_manager
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

    wait = concurrent.futures.wait

    def interrupted(*arguments: Any, **options: Any) -> object:  # noqa: ANN401  # as the real one is called
        if threading.current_thread() is caller:  # which may be about to wait for its answer
            return wait(*arguments, **options)
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


class Counting:
    """Mints after a while; counts what it has minted."""

    seconds = 0.0
    minted = 0

    @hookimpl
    def provision_runners(self, count: int) -> Awaitable[tuple[Outcome, ...]]:
        return self._mint(count)

    async def _mint(self, count: int) -> tuple[Outcome, ...]:
        await asyncio.sleep(self.seconds)
        self.minted += 1  # from here on they are registered
        return tuple(MintFailure(reason=FailureReason.REJECTED, message="") for _ in range(count))


def test_a_result_that_comes_with_the_time_limit_is_not_lost() -> None:
    """Runners that were minted in the last moment exist: 474 of 913 were thrown away on a busy loop."""
    plugin, returned = Counting(), 0
    with SyncHost(create_manager({}, plugins=[("mints", plugin)]), call_timeout=0.02) as host:

        def busy(_config: object = None) -> None:  # turns of a millisecond, as a burst of another scale set takes them
            threading.Event().wait(0.001)
            asyncio.get_running_loop().call_soon(busy)

        loop = host._loop
        assert loop is not None
        loop.call_soon_threadsafe(busy)
        for number in range(200):
            plugin.seconds = 0.012 + number % 80 * 0.0001
            try:
                host.provision_runners(SET, 1)
                returned += 1
            except HostError:
                pass
    assert returned == plugin.minted > 0


def test_a_time_limit_of_the_work_itself_is_not_the_calls() -> None:
    class Slow:
        @hookimpl
        def provision_runners(self) -> tuple[Outcome, ...]:
            raise TimeoutError("the plugin's own")

    with (
        SyncHost(create_manager({}, plugins=[("slow", Slow())]), call_timeout=5.0) as host,
        pytest.raises(TimeoutError, match="own"),
    ):
        host.provision_runners(SET, 1)


def in_a_child(what: Callable[[], object]) -> str:
    """Fork, do something in the child, and return what came of it."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads is what is tried here
        child = os.fork()
    if child == 0:
        try:
            said = f"returned {what()}"
        except Exception as error:  # noqa: BLE001  # whatever it is, the parent looks at it
            said = f"{type(error).__name__}: {error}"
        os.write(writer, said.encode())
        os._exit(0)
    os.close(writer)
    if not select.select([reader], [], [], 30)[0]:
        os.kill(child, signal.SIGKILL)
        raise AssertionError("the child hangs")
    said = os.read(reader, 4096).decode()
    os.waitpid(child, 0)
    os.close(reader)
    return said


def test_a_forked_child_hears_that_the_portal_is_not_there() -> None:
    """It waited for a thread that a fork does not copy, for ever; also while a lock was held at the fork."""
    fake = FakeProvisioner("linux")
    manager = create_manager({}, plugins=[("fake", fake)])
    with SyncHost(manager) as host:
        host.provision_runners(SET, 1)
        with host._lock:
            assert in_a_child(lambda: host.provision_runners(SET, 1)).startswith("HostError: the portal was started in")
            assert in_a_child(lambda: host.on_demand_changed(SET, 1)).startswith("HostError")
            assert in_a_child(host.stop) == "returned None"
        asynchronous = AsyncHost(manager)
        with contextlib.suppress(HostError):
            asynchronous.on_demand_changed(SET, 1)
        assert "forked" in in_a_child(lambda: asynchronous.on_demand_changed(SET, 1))
        assert len(host.provision_runners(SET, 1)) == 1


def test_a_host_that_was_not_started_before_the_fork_works_in_the_child() -> None:
    host = SyncHost(create_manager({}, plugins=[("fake", FakeProvisioner("linux"))]))

    def live() -> int:
        with host:
            return len(host.provision_runners(SET, 2))

    assert in_a_child(live) == "returned 2"


ENDS = {
    "raise RuntimeError": 1,
    "sys.exit(3)": 3,
    "pass": 0,
    "atexit.register(host.stop); sys.exit(4)": 4,
    "threading.Thread(target=work).start()": 0,
}


@pytest.mark.parametrize("end", ENDS)
def test_a_program_that_ends_without_stop_ends_and_its_plugins_are_stopped(end: str) -> None:
    """The portal's thread kept such a program alive for ever."""
    program = f"""
import atexit, sys, threading, time
from scaleset_hookspecs import ScaleSetRef, hookimpl
from scaleset_hookspecs.host import SyncHost, create_manager
from scaleset_hookspecs.host.testing import FakeProvisioner
class Life:
    @hookimpl
    async def autoscaler_stopping(self): print("stopped", flush=True)
def work():
    time.sleep(0.3)
    print(len(host.provision_runners(ScaleSetRef(name="linux"), 2)), flush=True)
host = SyncHost(create_manager({{}}, plugins=[("life", Life()), ("fake", FakeProvisioner("linux"))]))
host.start()
{end}
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == ENDS[end], ended.stderr
    assert ended.stdout.split() == (["2"] if "work" in end else []) + ["stopped"]


def test_observers_keep_their_order() -> None:
    """What one thread tells arrives in the order it was told."""
    fake = FakeProvisioner("linux")
    with SyncHost(create_manager({}, plugins=[("fake", fake)])) as host:
        for number in range(50):
            config = JitConfig(runner_id=number, runner_name=str(number), scale_set=SET, encoded="s", minted_at=0.0)
            host.after_runner_launched(SET, config)
        host.get_scaleset_settings(SET)
    assert fake.launched == [str(number) for number in range(50)]
