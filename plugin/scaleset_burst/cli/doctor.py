"""`scaleset-burst doctor`: is everything ready for a burst, and how long will one take?"""

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from scaleset_burst.cli.diagnosis import Finding, Severity, diagnose
from scaleset_burst.cli.output import SayingClock, fail, print_json, print_line, refuse
from scaleset_burst.cli.probing import probe
from scaleset_burst.cli.reading import read
from scaleset_burst.cli.targets import labels, target
from scaleset_client.clock import SystemClock
from scaleset_hookspecs import ConfigError, ScalesetError

__all__ = ["doctor"]

STYLES = {Severity.OK: "", Severity.WARNING: "yellow", Severity.FAILURE: "red"}


def doctor(config: Path, *, as_json: bool, scale_set: str | None, runner_group: str) -> int:
    """Examine a configuration and the service behind it, read-only; return the exit code."""
    try:
        mapping, settings = read(config)
    except ConfigError as error:
        return refuse(error, as_json=as_json)
    report: dict[str, Any] | None = {"findings": []} if as_json else None
    if not settings.enabled:
        return fail("the plugin is switched off: no `plugins.burst`, or `enabled: false`", report)
    wanted = target(mapping, settings, scale_set, runner_group)
    try:
        facts = asyncio.run(probe(settings, wanted, SayingClock(SystemClock())))
        facts = replace(facts, wanted_labels=labels(mapping, wanted))
    except ScalesetError as error:
        return fail(str(error), report)
    findings = diagnose(facts, settings)
    well = all(finding.severity is not Severity.FAILURE for finding in findings)
    if as_json:
        listed = [{"name": one.name, "level": one.severity.value, "text": one.text} for one in findings]
        print_json({"ok": well, "findings": listed})
    else:
        _print(findings)
    return 0 if well else 1


def _print(findings: Iterable[Finding]) -> None:
    for finding in findings:
        print_line(f"{finding.severity:<8} {finding.name:<14} {finding.text}", STYLES[finding.severity])
