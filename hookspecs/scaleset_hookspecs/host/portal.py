"""The way in for hosts without an event loop: one loop, in one thread, for the host's life."""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextlib
import logging
import os
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

import pluggy

from scaleset_hookspecs.errors import HostError
from scaleset_hookspecs.host.calls import PLAIN, AsyncHost
from scaleset_hookspecs.types import (
    Answer,
    JitConfig,
    JobCompleted,
    JobStarted,
    OnReady,
    Outcome,
    ProvisionSettings,
    RunnerInfo,
    RunnerRef,
    ScaleSetRef,
    ScaleSetSettings,
    Statistics,
)

__all__ = ["SyncHost"]

logger = logging.getLogger(__name__)

T = TypeVar("T")

FROZEN = 5.0
"""Seconds beyond a call's time limit after which the loop itself counts as blocked by a plugin."""


class SyncHost:
    """The hooks as blocking methods, from any number of threads.

    Use it as a context manager, or call `start` and `stop`; a program that ends without `stop` is stopped at its exit.
    `on_ready` and `on_wait` are called on the loop's thread: they must return soon and must not call back into this
    object. A process forked after the start makes a portal of its own.
    """

    def __init__(
        self,
        manager: pluggy.PluginManager,
        *,
        call_timeout: float | None = None,
        stop_timeout: float = 30.0,
        fall_back: bool = False,
    ) -> None:
        """Make a portal; nothing runs before `start`.

        Args:
            manager: From `create_manager`.
            call_timeout: Seconds after which a call is cancelled and raises `HostError`; `None`: never. A call that
                has ended by then returns its result.
            stop_timeout: Seconds that calls under way, and then the plugins, have to end.
            fall_back: As for `AsyncHost`.
        """
        self._host = AsyncHost(manager, fall_back=fall_back)
        self._call_timeout = call_timeout
        self._stop_timeout = stop_timeout
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._calls: dict[concurrent.futures.Future[Any], asyncio.Task[None] | None] = {}
        self._process: int | None = None
        self._lock = threading.Lock()
        self._state = "new"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the loop and the plugins; what a plugin raises at start is raised here."""
        with self._lock:
            if self._state != "new":
                raise HostError(f"the portal is {self._state}; it can be started once")
            self._state = "starting"
            self._process = os.getpid()
            self._loop = asyncio.new_event_loop()
            # A daemon, or the interpreter would wait for it before anything could stop it; at exit `stop` runs.
            self._thread = threading.Thread(target=_run, args=(self._loop,), name="scaleset-portal", daemon=True)
            self._thread.start()
            atexit.register(self.stop)
        try:
            self._call(self._host.started(), "starting")
        except BaseException:
            self.stop()
            raise
        with self._lock:
            if self._state == "starting":  # else another thread stops it already
                self._state = "running"

    def stop(self) -> None:
        """Let calls under way end or cancel them, stop the plugins, join the thread. Safe to call twice.

        In a process that was forked after the start there is nothing to stop: the thread runs in the other one.
        """
        if self._is_forked():
            return
        self._refuse_elsewhere()
        with self._lock:
            first = self._state in {"starting", "running"}
            calls, loop, thread = tuple(self._calls), self._loop, self._thread
            if loop is None or thread is None:
                return
            self._state = "stopping" if first else self._state
        if not first:
            thread.join()
            return
        try:
            self._wind_up(calls, loop)
        finally:  # an operator's second Ctrl-C ends the waiting, and must not leave a thread that nobody can end
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            self._state = "stopped"
            atexit.unregister(self.stop)

    def _wind_up(self, calls: tuple[concurrent.futures.Future[Any], ...], loop: asyncio.AbstractEventLoop) -> None:
        concurrent.futures.wait(calls, timeout=self._stop_timeout)
        for call in calls:
            self._cancel(call)
        stopping = asyncio.run_coroutine_threadsafe(self._host.stopping(self._stop_timeout), loop)
        try:
            stopping.result(self._stop_timeout + 5.0)
        except concurrent.futures.TimeoutError:
            logger.warning("the plugins did not stop within %g s", self._stop_timeout)

    def provision_runners(
        self,
        scale_set: ScaleSetRef,
        count: int,
        settings: ProvisionSettings = PLAIN,
        on_ready: OnReady | None = None,
    ) -> tuple[Outcome, ...]:
        """Mint configs for new runners; see the hook of this name."""
        return self._call(self._host.provision_runners(scale_set, count, settings, on_ready))

    def get_scaleset_settings(self, scale_set: ScaleSetRef) -> Answer[ScaleSetSettings]:
        """Return the scale set's settings; see the hook of this name."""
        return self._call(self._host.get_scaleset_settings(scale_set))

    def get_runner_info(self, scale_set: ScaleSetRef, runner: RunnerRef) -> Answer[RunnerInfo]:
        """Say whether a runner is registered; see the hook of this name."""
        return self._call(self._host.get_runner_info(scale_set, runner))

    def after_runner_launched(self, scale_set: ScaleSetRef, config: JitConfig) -> None:
        """Tell the plugins that a config is in use."""
        self._post(self._host.after_runner_launched, scale_set, config)

    def on_scaleset_statistics(self, scale_set: ScaleSetRef, statistics: Statistics) -> None:
        """Tell the plugins a message's counters."""
        self._post(self._host.on_scaleset_statistics, scale_set, statistics)

    def on_demand_changed(self, scale_set: ScaleSetRef, desired: int) -> None:
        """Tell the plugins how many runners are wanted in all."""
        self._post(self._host.on_demand_changed, scale_set, desired)

    def after_job_started(self, scale_set: ScaleSetRef, event: JobStarted) -> None:
        """Tell the plugins that a runner took a job."""
        self._post(self._host.after_job_started, scale_set, event)

    def after_job_completed(self, scale_set: ScaleSetRef, event: JobCompleted) -> None:
        """Tell the plugins that a job is over."""
        self._post(self._host.after_job_completed, scale_set, event)

    def after_runner_removed(self, scale_set: ScaleSetRef, runner: RunnerRef) -> None:
        """Tell the plugins that a runner is gone."""
        self._post(self._host.after_runner_removed, scale_set, runner)

    def _call(self, work: Coroutine[Any, Any, T], state: str = "running") -> T:
        answer: concurrent.futures.Future[T] = concurrent.futures.Future()
        try:
            self._refuse_elsewhere()
            with self._lock:
                loop = self._loop_while(state)
                self._calls[answer] = None
                loop.call_soon_threadsafe(self._begin, work, answer)
        except HostError:
            work.close()
            raise
        try:
            limit = None if self._call_timeout is None else self._call_timeout + FROZEN
            if not concurrent.futures.wait((answer,), limit).done:
                raise HostError(f"the call did not end within {limit:g} s, nor could it be cancelled: a plugin blocks")
            return answer.result()
        finally:
            # A KeyboardInterrupt ends the waiting, not the work; nobody waits for it any more.
            self._cancel(answer)

    def _begin(self, work: Coroutine[Any, Any, T], answer: concurrent.futures.Future[T]) -> None:
        self._calls[answer] = asyncio.get_running_loop().create_task(self._carry(work, answer))

    async def _carry(self, work: Coroutine[Any, Any, T], answer: concurrent.futures.Future[T]) -> None:
        """Do the work and hand over what it came to in the same step: what has ended cannot be cancelled any more."""
        limit = asyncio.timeout(self._call_timeout)
        try:
            async with limit:
                result = await work
        except asyncio.CancelledError:
            answer.set_exception(HostError("the call was cancelled because the portal is stopping"))
        except BaseException as error:
            if isinstance(error, TimeoutError) and limit.expired():
                error = HostError(f"the call did not end within {self._call_timeout:g} s and was cancelled")
            answer.set_exception(error)
            if not isinstance(error, Exception):
                raise
        else:
            answer.set_result(result)
        finally:
            with self._lock:
                del self._calls[answer]

    def _cancel(self, answer: concurrent.futures.Future[Any]) -> None:
        def cancel() -> None:
            task = self._calls.get(answer)
            if task is not None:
                task.cancel()

        if not answer.done() and self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nothing runs any more
                self._loop.call_soon_threadsafe(cancel)

    def _post(self, tell: Callable[..., None], *arguments: object) -> None:
        self._refuse_elsewhere()
        with self._lock:
            self._loop_while("running").call_soon_threadsafe(tell, *arguments)

    def _loop_while(self, state: str) -> asyncio.AbstractEventLoop:
        if self._state != state or self._loop is None:
            advice = {"new": "call start() first", "starting": "wait until start() has returned"}
            raise HostError(
                f"the portal is {self._state}; {advice.get(self._state, 'make a new one, of a new manager')}"
            )
        return self._loop

    def _is_forked(self) -> bool:
        return self._process is not None and self._process != os.getpid()

    def _refuse_elsewhere(self) -> None:
        """Refuse calls that nobody could answer; before any lock, which a fork may have copied while it was held."""
        if self._is_forked():
            raise HostError(
                f"the portal was started in process {self._process}, and this is process {os.getpid()}, forked from "
                f"it, where its thread does not run; make a manager and a portal after the fork"
            )
        if self._thread is not None and threading.current_thread() is self._thread:
            raise HostError("called from the portal's own thread, which would wait for itself for ever")


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        leftovers = asyncio.all_tasks(loop)
        for task in leftovers:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*leftovers, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        with contextlib.suppress(
            RuntimeError
        ):  # while the interpreter ends, no thread can be started to wait for others
            loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
