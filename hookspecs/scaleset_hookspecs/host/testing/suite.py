"""What every implementation of the request hooks must do, through both ways into a host.

Bind it in a test module of your own, and let pytest (or anything that runs `test_*` methods) run it:

    class TestMine(ContractSuite):
        def open(self):
            return my_context_manager_yielding_a_subject()

Every test runs twice, on a loop and through the portal.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial

import pluggy

from scaleset_hookspecs.errors import Rejected, UsageError
from scaleset_hookspecs.host.testing.callers import Caller, open_async, open_sync
from scaleset_hookspecs.types import (
    Certainty,
    FailureReason,
    JitConfig,
    MintFailure,
    Outcome,
    ProvisionSettings,
    RunnerRef,
    ScaleSetRef,
)

__all__ = ["ContractSuite", "Subject"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """An implementation under test.

    Attributes:
        manager: A manager with the implementation registered.
        scale_set: A scale set it can mint for.
        unknown: One that does not exist.
        registered: Returns the names of the runners that are registered now.
    """

    manager: pluggy.PluginManager
    scale_set: ScaleSetRef
    unknown: ScaleSetRef
    registered: Callable[[], set[str]]


class ContractSuite:
    """The suite; override `open`."""

    def open(self) -> AbstractContextManager[Subject]:
        """Yield a fresh subject; called once for each test and way."""
        raise NotImplementedError

    @contextmanager
    def _both(self) -> Iterator[list[tuple[Subject, Callable[[], AbstractContextManager[Caller]]]]]:
        with self.open() as first, self.open() as second:
            yield [(first, lambda: open_async(first.manager)), (second, lambda: open_sync(second.manager))]

    def test_n_asked_are_n_outcomes(self) -> None:
        """N configs with different names and ids, in the scale set asked for, all of them registered."""
        with self._both() as ways:
            for subject, enter in ways:
                with enter() as caller:
                    answers = [caller.provision_runners(subject.scale_set, count) for count in (1, 7)]
                for count, outcomes in zip((1, 7), answers, strict=True):
                    configs = _configs(outcomes)
                    _must(len(outcomes) == len(configs) == count, f"{count} asked, {outcomes}")
                    _must(len({c.runner_id for c in configs}) == count, "an id was handed out twice")
                    _must(all(c.scale_set.name == subject.scale_set.name for c in configs), "another scale set")
                names = {config.runner_name for outcomes in answers for config in _configs(outcomes)}
                _must(len(names) == 8, "a name was handed out twice")
                _must(names <= subject.registered(), "a config whose runner is not registered")

    def test_each_config_is_announced_once(self) -> None:
        """`on_ready` hears of each delivered config once, before the call ends."""
        with self._both() as ways:
            for subject, enter in ways:
                heard: list[JitConfig] = []
                with enter() as caller:
                    outcomes = caller.provision_runners(subject.scale_set, 5, on_ready=heard.append)
                    announced = list(heard)
                names = sorted(config.runner_name for config in announced)
                _must(names == sorted(c.runner_name for c in _configs(outcomes)), f"announced {names}")

    def test_deliveries_are_as_many_at_once_as_the_host_says(self) -> None:
        """With `deliveries=2` no third `on_ready` begins before one of two has ended, and all are served."""
        with self._both() as ways:
            for subject, enter in ways:
                under_way, most = list[str](), list[int]()

                async def on_ready(config: JitConfig, here: list[str] = under_way, most: list[int] = most) -> None:
                    here.append(config.runner_name)
                    most.append(len(here))
                    await asyncio.sleep(0.01)
                    here.remove(config.runner_name)

                with enter() as caller:
                    outcomes = caller.provision_runners(subject.scale_set, 6, ProvisionSettings(deliveries=2), on_ready)
                _must(len(_configs(outcomes)) == len(most) == 6, f"{outcomes}")
                _must(max(most) <= 2, f"{max(most)} at once")

    def test_a_count_that_cannot_be_is_refused(self) -> None:
        """0, negative, and over the maximum: a `UsageError`, and nothing is registered."""
        with self._both() as ways:
            for subject, enter in ways:
                before = subject.registered()
                with enter() as caller:
                    for count, settings in (
                        (0, ProvisionSettings()),
                        (-3, ProvisionSettings()),
                        (5, ProvisionSettings(max_runners=4)),
                        (2, ProvisionSettings(names=("one",))),
                    ):
                        _raises(UsageError, partial(caller.provision_runners, subject.scale_set, count, settings))
                _must(subject.registered() == before, "something was registered")

    def test_names_that_the_host_chose_are_kept(self) -> None:
        """Each config has the name given for it; asked for again, each is `NAME_TAKEN`, and its runner stays."""
        with self._both() as ways:
            for subject, enter in ways:
                chosen = ProvisionSettings(names=("suite-b", "suite-a", "suite-c"))
                with enter() as caller:
                    configs = _configs(caller.provision_runners(subject.scale_set, 3, chosen))
                    again = caller.provision_runners(subject.scale_set, 3, chosen)
                    registered = subject.registered()
                _must(tuple(config.runner_name for config in configs) == chosen.names, f"{configs}")
                reasons = [getattr(outcome, "reason", None) for outcome in again]
                _must(reasons == [FailureReason.NAME_TAKEN] * 3, f"{again}")
                _must(set(chosen.names or ()) <= registered, f"{registered}")

    def test_an_unknown_scale_set_is_rejected(self) -> None:
        """Nothing can ever work for it: the call raises `Rejected`, or every outcome says so; nothing is registered."""
        with self._both() as ways:
            for subject, enter in ways:
                before = subject.registered()
                with enter() as caller:
                    try:
                        outcomes = caller.provision_runners(subject.unknown, 3)
                    except Rejected:
                        outcomes = ()
                _must(not _configs(outcomes), "configs for a scale set that does not exist")
                reasons = {outcome.reason for outcome in outcomes if isinstance(outcome, MintFailure)}
                _must(reasons <= {FailureReason.REJECTED}, f"reasons {reasons}")
                _must(subject.registered() == before, "something was registered")

    def test_secrets_stay_out_of_reprs(self) -> None:
        """No JIT config shows in the repr of an outcome."""
        with self._both() as ways:
            for subject, enter in ways:
                with enter() as caller:
                    configs = _configs(caller.provision_runners(subject.scale_set, 2))
                _must(not any(c.encoded in repr(configs) or c.encoded in str(c) for c in configs), "a secret in a repr")

    def test_a_failed_delivery_fails_alone(self) -> None:
        """If `on_ready` raises, that one is a `DELIVERY` failure and the others are configs."""
        with self._both() as ways:
            for subject, enter in ways:
                calls: list[str] = []

                def on_ready(config: JitConfig, calls: list[str] = calls) -> None:
                    calls.append(config.runner_name)
                    if len(calls) == 2:
                        raise OSError("no machine")

                with enter() as caller:
                    outcomes = caller.provision_runners(subject.scale_set, 4, on_ready=on_ready)
                _must(len(_configs(outcomes)) == 3, f"{outcomes}")
                failed = [outcome for outcome in outcomes if isinstance(outcome, MintFailure)]
                _must([failure.reason for failure in failed] == [FailureReason.DELIVERY], f"{failed}")

    def test_calls_at_once_share_nothing(self) -> None:
        """Several calls at once never hand out the same config."""
        with self._both() as ways:
            for subject, enter in ways:
                with enter() as caller:
                    results = caller.provision_together(subject.scale_set, 5, 4)
                names = [config.runner_name for outcomes in results for config in _configs(outcomes)]
                _must(len(names) == len(set(names)) == 20, f"{len(names)} configs, {len(set(names))} names")

    def test_settings_say_how_certain_they_are(self) -> None:
        """Fresh, with an age, for a scale set that exists; absent or unknown for one that does not."""
        with self._both() as ways:
            for subject, enter in ways:
                with enter() as caller:
                    answer = caller.get_scaleset_settings(subject.scale_set)
                    none = caller.get_scaleset_settings(subject.unknown)
                _must(answer.certainty is Certainty.FRESH, f"{answer}")
                _must(answer.value is not None and answer.value.name == subject.scale_set.name, f"{answer}")
                _must(answer.age is not None and answer.age >= 0, f"{answer}")
                _must(none.certainty in {Certainty.ABSENT, Certainty.UNKNOWN}, f"{none}")

    def test_a_minted_runner_is_never_called_absent(self) -> None:
        """What was just minted is fresh or unknown; what never was is absent or unknown."""
        with self._both() as ways:
            for subject, enter in ways:
                with enter() as caller:
                    config = _configs(caller.provision_runners(subject.scale_set, 1))[0]
                    for runner in (RunnerRef(name=config.runner_name), RunnerRef(id=config.runner_id)):
                        answer = caller.get_runner_info(subject.scale_set, runner)
                        _must(answer.certainty in {Certainty.FRESH, Certainty.UNKNOWN}, f"{runner}: {answer}")
                    never = caller.get_runner_info(subject.scale_set, RunnerRef(name="never-minted-here"))
                _must(never.certainty in {Certainty.ABSENT, Certainty.UNKNOWN}, f"{never}")


def _configs(outcomes: tuple[Outcome, ...]) -> list[JitConfig]:
    return [outcome for outcome in outcomes if isinstance(outcome, JitConfig)]


def _must(holds: bool, message: str) -> None:
    if not holds:
        raise AssertionError(message)


def _raises(kind: type[Exception], call: Callable[[], object]) -> None:
    try:
        result = call()
    except kind:
        return
    raise AssertionError(f"expected {kind.__name__}; it returned {result!r}")
