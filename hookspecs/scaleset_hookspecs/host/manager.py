"""Makes a host's plugin manager, in the one order that catches every mistake at start."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from typing import Any

import pluggy

from scaleset_hookspecs import specs
from scaleset_hookspecs.errors import ConfigError, HostError, Problem
from scaleset_hookspecs.host.plugins import NamedPlugins, locate, missing, read_plugins
from scaleset_hookspecs.markers import PROJECT_NAME

__all__ = ["DEFAULTS", "create_manager"]

logger = logging.getLogger(__name__)

DEFAULTS = "host-defaults"
"""Name under which the host's own answers stand in its manager."""

_FIRST_RESULT = ("provision_runners", "get_scaleset_settings", "get_runner_info")
_MAY_BE_ASYNC = ("autoscaler_started", "autoscaler_stopping")


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
    manager = pluggy.PluginManager(PROJECT_NAME)
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
    problems: list[Problem] = []
    for implementation in reversed(manager.hook.autoscaler_configure.get_hookimpls()):
        caller = manager.subset_hook_caller(
            "autoscaler_configure", [other for other in manager.get_plugins() if other is not implementation.plugin]
        )
        try:
            caller(config=config, manager=manager)
        except ConfigError as error:
            problems += error.problems
    return problems


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
            if inspect.iscoroutinefunction(implementation.function):
                why = (
                    "a coroutine is never None, so it could not decline. Make it a plain `def` that returns a "
                    "coroutine after deciding"
                    if name in _FIRST_RESULT
                    else "nobody would await it, so it would never run. Make it a plain `def` that returns at once"
                )
                raise HostError(f"{implementation.plugin_name}: {name} is an `async def`; {why}")
