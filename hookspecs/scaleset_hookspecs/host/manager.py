"""Makes a host's plugin manager, in the one order that catches every mistake at start."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, NoReturn

import pluggy

from scaleset_hookspecs import specs
from scaleset_hookspecs.errors import ConfigError, HostError, Problem
from scaleset_hookspecs.host.plugins import NamedPlugins, missing, read_plugins
from scaleset_hookspecs.markers import PROJECT_NAME
from scaleset_hookspecs.problems import locate

__all__ = ["DEFAULTS", "create_manager"]

logger = logging.getLogger(__name__)

DEFAULTS = "host-defaults"
"""Name under which the host's own answers stand in its manager."""

_FIRST_RESULT = ("provision_runners", "get_scaleset_settings", "get_runner_info")
_MAY_BE_ASYNC = ("autoscaler_started", "autoscaler_stopping")
_CONFIGURE = "autoscaler_configure"


@dataclass(frozen=True, slots=True)
class _Refused:
    """What a plugin that refuses its configuration answers to `autoscaler_configure`."""

    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class _Raises:
    """An awaitable that raises: what a plugin that failed at once answers to a hook of the host's life."""

    error: Exception

    def __await__(self) -> Generator[None, None, NoReturn]:
        raise self.error
        yield


class _Manager(pluggy.PluginManager):
    """A plugin manager in which one plugin's failure leaves no other untold.

    pluggy ends a call at the first implementation that raises. That is right for a request, where the error is the
    answer; but a plugin that is never told of the host's end, or of a runner's, loses what it holds. So each
    implementation of the other hooks answers for its own failure, and the call itself stays pluggy's: wrappers, order
    and monitoring work for every hook.
    """

    def register(self, plugin: object, name: str | None = None) -> str | None:
        """Register a plugin; its implementations of hooks that are no requests no longer raise."""
        registered = super().register(plugin, name)
        for hook in self.get_hookcallers(plugin) or () if registered is not None else ():
            for implementation in hook.get_hookimpls():
                wraps = implementation.wrapper or implementation.hookwrapper
                if implementation.plugin is plugin and not wraps and hook.name not in _FIRST_RESULT:
                    guarded = _guarded(hook.name, implementation.plugin_name, implementation.function)
                    implementation.function = guarded  # type: ignore[misc]  # the one place where pluggy calls it
        return registered


def _guarded(hook: str, plugin_name: str, function: Callable[..., object]) -> Callable[..., object]:
    @functools.wraps(function)
    def guarded(*arguments: object) -> object:
        try:
            return function(*arguments)
        except ConfigError as error:
            if hook == _CONFIGURE:
                return _Refused(error.problems)
            return _failed(hook, plugin_name, error)
        except Exception as error:
            if hook == _CONFIGURE:
                raise
            return _failed(hook, plugin_name, error)

    return guarded


def _failed(hook: str, plugin_name: str, error: Exception) -> object:
    if hook in _MAY_BE_ASYNC:
        return _Raises(error)
    logger.error("%s: %s raised; the other plugins and the host go on", plugin_name, hook, exc_info=error)
    return None


def create_manager(
    config: Mapping[str, Any],
    *,
    defaults: object | None = None,
    plugins: Sequence[tuple[str, object]] = (),
    load_entry_points: bool = True,
) -> pluggy.PluginManager:
    """Make a manager with the plugins the configuration names.

    In this order: the specs; names switched off in YAML are blocked before anything loads; entry points, of which
    only those named in YAML are even imported; `plugins`; `autoscaler_configure`; the host's defaults; a check that
    every implementation has a hook. One manager per host: nothing is kept in a global.

    Args:
        config: The host's configuration; `plugins: {name: {enabled: …}}` says what to load.
        defaults: The host's own answers, every request hook of them marked `trylast=True`.
        plugins: More plugins, by name, for tests and built-ins; they too may be switched off in YAML.
        load_entry_points: Whether installed distributions are looked at.

    Raises:
        ConfigError: The YAML is wrong; carries the problems of all plugins at once.
        HostError: An implementation cannot work: no such hook, wrong arguments, or a coroutine function where a
            plain one is needed.
    """
    named = read_plugins(config)
    manager = _Manager(PROJECT_NAME)
    manager.add_hookspecs(specs)
    for name in named.disabled:
        manager.set_blocked(name)
    problems = list(named.problems)
    if DEFAULTS in named.disabled:  # blocked, they would be missing in silence
        found, expected = "the host's own answers switched off", "the name of a plugin"
        problems.append(locate(config, ("plugins", DEFAULTS), found, expected))
    if load_entry_points:
        problems += _load(manager, config, named, {name for name, _ in plugins})
    for name, plugin in plugins:
        _register(manager, plugin, name)
    problems += _configure(manager, config)
    if problems:
        raise ConfigError(dict.fromkeys(problems))
    if defaults is not None:
        _register_defaults(manager, defaults)
    _check(manager)
    return manager


def _load(
    manager: pluggy.PluginManager, config: Mapping[str, Any], named: NamedPlugins, given: set[str]
) -> list[Problem]:
    found = {point.name: point for point in entry_points(group=PROJECT_NAME)}
    problems = []
    for name in named.enabled:
        if name in given:
            continue
        if name not in found:
            problems.append(missing(config, name, found))
            continue
        try:
            plugin = found[name].load()
        except Exception as error:  # noqa: BLE001  # what two versions do not agree on shows as any error
            problems.append(
                locate(
                    config,
                    ("plugins", name),
                    f"a plugin that cannot be imported ({type(error).__name__}: {error})",
                    "a plugin whose requirements are installed, in versions it bears",
                )
            )
            continue
        _register(manager, plugin, name)
    return problems


def _register(manager: pluggy.PluginManager, plugin: object, name: str) -> None:
    if inspect.isclass(plugin):
        raise HostError(
            f"the plugin {name!r} is the class {plugin.__name__}; expected an instance. Are the () missing?"
        )
    try:
        manager.register(plugin, name=name)
    except pluggy.PluginValidationError as error:
        raise HostError(f"the plugin {name!r} does not fit the contract: {error}") from error


def _configure(manager: pluggy.PluginManager, config: Mapping[str, Any]) -> list[Problem]:
    """Let every plugin that loaded read its section, whatever is wrong with the others; return what they refuse."""
    answers = manager.hook.autoscaler_configure(config=config, manager=manager)
    return [problem for answer in answers if isinstance(answer, _Refused) for problem in answer.problems]


def _register_defaults(manager: pluggy.PluginManager, defaults: object) -> None:
    _register(manager, defaults, DEFAULTS)
    for name in _FIRST_RESULT:
        for implementation in getattr(manager.hook, name).get_hookimpls():
            if implementation.plugin is defaults and not implementation.trylast:
                raise HostError(
                    f"the host's default for {name} is not marked @hookimpl(trylast=True), so it would answer before "
                    f"the plugins; mark it"
                )


def _check(manager: pluggy.PluginManager) -> None:
    try:
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise HostError(f"a plugin implements a hook that does not exist: {error}") from error
    for name, hook in vars(manager.hook).items():
        if name in _MAY_BE_ASYNC:
            continue
        for implementation in hook.get_hookimpls():
            if inspect.iscoroutinefunction(inspect.unwrap(implementation.function)):
                why = (
                    "a coroutine is never None, so it could not decline. Make it a plain `def` that returns a "
                    "coroutine after deciding"
                    if name in _FIRST_RESULT
                    else "nobody would await it, so it would never run. Make it a plain `def` that returns at once"
                )
                raise HostError(f"{implementation.plugin_name}: {name} is an `async def`; {why}")
