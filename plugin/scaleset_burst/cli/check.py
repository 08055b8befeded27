"""`scaleset-burst check`: is the configuration right, and which settings hold?"""

import asyncio
from pathlib import Path
from typing import Any

from scaleset_burst.cli.output import fail, print_json, print_line, print_rows, refuse
from scaleset_burst.cli.reading import read_whole
from scaleset_burst.cli.targets import target
from scaleset_burst.settings import Settings
from scaleset_hookspecs import ConfigError, ScalesetError, SourcedConfig
from scaleset_hookspecs.configuration.listing import listing

__all__ = ["check"]


def check(config: Path, *, live: bool, as_json: bool, scale_set: str | None, runner_group: str) -> int:
    """Check a configuration and print what holds; return the exit code."""
    try:
        mapping, settings, host = read_whole(config)
    except ConfigError as error:
        return refuse(error, as_json=as_json)
    asked = live and settings.enabled
    report: dict[str, Any] = {"ok": True, "enabled": settings.enabled, "host": host, "settings": _rows(settings)}
    if not as_json:
        _print_settings(mapping, settings, host)
    if asked:
        from scaleset_burst.cli.live import look_live, print_live  # noqa: PLC0415 - it needs the engine

        try:
            seen = asyncio.run(look_live(settings, target(mapping, settings, scale_set, runner_group)))
        except ScalesetError as error:
            return fail(str(error), report if as_json else None)
        report["live"] = seen.plain()
        if not as_json:
            print_live(seen)
    if as_json:
        print_json(report)
    return 0


def _print_settings(config: SourcedConfig, settings: Settings, host: str) -> None:
    if config.keys() - {"github", "plugins"}:
        print_line(f"{config.file}: the host's own sections are {host}")
    if not settings.enabled:
        print_line(f"{config.file}: the plugin is switched off: no `plugins.burst`, or `enabled: false`")
        return
    print_line(f"{config.file}: fine; these settings of `plugins.burst` hold:")
    print_rows(listing(settings))


def _rows(settings: Settings) -> list[dict[str, Any]]:
    return [
        {"path": row.path, "value": row.value, "default": row.is_default, "description": row.description}
        for row in listing(settings)
    ]
