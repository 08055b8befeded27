"""The host's configuration, declared once: a YAML file becomes settings, or every problem at once."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field

from scaleset_client.loopback import is_loopback
from scaleset_client.settings import GITHUB_CHECKS, GitHubSettings, ScaleSetName
from scaleset_hookspecs import ConfigError, Label, Problem, ScaleSetRef, SourcedConfig
from scaleset_hookspecs.configuration import (
    Check,
    Duration,
    Flag,
    Mistake,
    Section,
    Text,
    View,
    Whole,
    read_config,
    read_text,
)
from scaleset_hookspecs.configuration import Path as ConfigPath
from scaleset_hookspecs.configuration import load as load_model
from scaleset_hookspecs.configuration.problems import NOTHING
from scaleset_hookspecs.configuration.schema import EXPECTED, exactly_one
from scaleset_hookspecs.host import create_manager

__all__ = ["AutoscalerSettings", "HostSettings", "ScaleSetSettings", "load"]

_PROGRAM: Final = "the program to run, as a list: [./run.sh]"

_COMMAND_RULE: Final[dict[str, Any]] = {
    "if": {"required": ["scale_set"], "properties": {"launcher": {"const": "command"}}},
    "then": {"required": ["command"], "properties": {"command": {"minItems": 1, EXPECTED: f"expected {_PROGRAM}"}}},
}
"""What the schema can say of what `_launchers_fit` says."""


class ScaleSetCommon(Section):
    """What may be said of each scale set, or once for all of them."""

    runner_group: Text = Field(default="default", description="Runner group it belongs to.")
    labels: tuple[Text, ...] = Field(default=(), description="Labels of the scale set; its name if left out.")
    create_scale_set: Flag = Field(
        default=True, description="Whether to make the scale set at start if it does not exist."
    )
    update_scale_set: Flag = Field(
        default=False, description="Whether to change labels and settings that differ from these at start."
    )
    min_idle: Annotated[Whole, Field(ge=0)] = Field(default=0, description="Runners kept ready when nothing is to do.")
    max_runners: Annotated[Whole, Field(ge=1)] = Field(default=10, description="Runners in all at most.")
    launcher: Literal["command", "simulated", "docker"] = Field(
        default="command",
        description="What a JIT config becomes: `simulated` (a runner inside the simulator, on this machine only), "
        "`command` (a program of yours) or `docker` (a container; extra `docker`).",
    )
    command: tuple[Text, ...] = Field(
        default=(),
        description="The program of `command`, or what runs in a container, with its arguments.",
    )
    image: Text = Field(
        default="ghcr.io/actions/actions-runner:latest", description="The image of `docker`. It is not pulled."
    )
    container: dict[str, Any] = Field(
        default={}, description="What else the Docker API is told of each container, in its own words"
    )


class ScaleSetSettings(ScaleSetCommon):
    """One scale set; what it leaves out is taken from the section `autoscaler`."""

    name: ScaleSetName = Field(description="Name of the scale set; workflows target it with `runs-on`.")

    @property
    def ref(self) -> ScaleSetRef:
        """Its name and its runner group."""
        return ScaleSetRef(name=self.name, runner_group=self.runner_group)

    @property
    def wanted_labels(self) -> tuple[Label, ...]:
        """The labels it is to have."""
        return tuple(Label(name=label) for label in self.labels or (self.name,))


class AutoscalerSettings(ScaleSetCommon):
    """The host itself. What is said here of a scale set holds for each that does not say otherwise."""

    model_config = ConfigDict(json_schema_extra={**exactly_one("scale_set", "scale_sets"), **_COMMAND_RULE})

    scale_set: ScaleSetName | None = Field(default=None, description="Name of the scale set, if there is only one.")
    scale_sets: tuple[ScaleSetSettings, ...] = Field(default=(), description="The scale sets, if there are several.")
    start_timeout: Duration = Field(
        default=300.0, gt=0, description="Time a runner has to come online after its launch; then it is replaced."
    )
    scale_down_delay: Duration = Field(
        default=60.0, description="Time for which there must be too many runners before idle ones are removed."
    )
    drain_timeout: Duration = Field(
        default=0.0,
        description="Time that runners with a job have to finish it when the host is told to stop; 0: as long as they "
        "need. A second signal ends them.",
    )
    fall_back: Flag = Field(
        default=False,
        description="Whether the host's own hooks answer when the plugin's report that the service is unavailable.",
    )
    metrics_port: Annotated[Whole, Field(ge=1, le=65535)] | None = Field(
        default=None, description="Port of this machine that serves /metrics and /healthz; none if left out."
    )
    log_format: Literal["text", "json"] = Field(default="text", description="How log lines are written.")


class HostSettings(Section):
    """The whole file; the plugins read their own sections."""

    model_config = ConfigDict(json_schema_extra={"patternProperties": {"^x-": {"description": "A place for anchors."}}})

    github: GitHubSettings = Field(description="Scope and credentials.")
    autoscaler: AutoscalerSettings = Field(description="The host itself.")
    plugins: Any = Field(default=None, description="The plugins that answer the host's hooks, each with its section.")

    @property
    def scale_sets(self) -> tuple[ScaleSetSettings, ...]:
        """Every scale set of the host, with every blank filled in."""
        own = self.autoscaler
        common = {name: getattr(own, name) for name in ScaleSetCommon.model_fields if name in own.model_fields_set}
        listed = (ScaleSetSettings(name=own.scale_set),) if own.scale_set else own.scale_sets
        return tuple(
            each.model_copy(update={name: value for name, value in common.items() if name not in each.model_fields_set})
            for each in listed
        )


def load(path: Path) -> tuple[SourcedConfig, HostSettings]:
    """Read the file.

    Raises:
        ConfigError: The file cannot be read, is no YAML, or something in the host's own sections is wrong;
            carries every problem at once, those of the plugins' sections too.
    """
    config = read_config(path)
    try:
        return config, load_model(HostSettings, config, environ=os.environ, read_file=read_text, checks=CHECKS)
    except ConfigError as own:
        raise ConfigError([*own.problems, *_of_plugins(config, own)]) from None


def _of_plugins(config: SourcedConfig, own: ConfigError) -> list[Problem]:
    """Let the plugins look at the file as well, so that it need not be mended twice."""
    try:
        create_manager(config)
    except ConfigError as theirs:
        said = {problem.path for problem in own.problems}
        return [problem for problem in theirs.problems if problem.path not in said]
    return []


def _one_form(view: View) -> Iterator[Mistake]:
    one, several = view.has("autoscaler", "scale_set"), view.has("autoscaler", "scale_sets")
    if one == several:
        found = "both `scale_set` and `scale_sets`" if one else "neither `scale_set` nor `scale_sets`"
        yield Mistake(path=("autoscaler",), found=found, expected="exactly one of `scale_set` and `scale_sets`")


def _names_differ(view: View) -> Iterator[Mistake]:
    seen = set[object]()
    for path in view.each("autoscaler", "scale_sets"):
        name = view.known(*path, "name")
        if name in seen:
            yield Mistake(path=(*path, "name"), found=f"`{name}` a second time", expected="each scale set once")
        seen.add(name)


def _launchers_fit(view: View) -> Iterator[Mistake]:
    url = view.known("github", "config_url")
    here = is_loopback((urlsplit(url).hostname if isinstance(url, str) else None) or "localhost")
    for path in _scale_sets(view):
        launcher, place = _said(view, path, "launcher")
        if launcher == "command" and _said(view, path, "command")[0] in ((), []):
            yield Mistake(path=(*path, "command"), found=NOTHING, expected=_PROGRAM)
        if launcher == "simulated" and not here:
            found, expected = "`simulated` for a service on another machine", "`command`; no simulator is there"
            yield Mistake(path=place, found=found, expected=expected)


def _idle_within_max(view: View) -> Iterator[Mistake]:
    for path in _scale_sets(view):
        (idle, place), (most, _) = _said(view, path, "min_idle"), _said(view, path, "max_runners")
        if isinstance(idle, int) and isinstance(most, int) and idle > most:
            yield Mistake(path=place, found=f"`{idle}`", expected=f"at most `max_runners`, which is {most}")


def _scale_sets(view: View) -> Iterator[ConfigPath]:
    yield from view.each("autoscaler", "scale_sets") if view.has("autoscaler", "scale_sets") else [("autoscaler",)]


def _said(view: View, path: ConfigPath, key: str) -> tuple[object, ConfigPath]:
    """Return what holds for a scale set, and where that stands."""
    place = (*path, key) if view.has(*path, key) else ("autoscaler", key)
    return view.known(*place), place


CHECKS: Final[tuple[Check, ...]] = (*GITHUB_CHECKS, _one_form, _names_differ, _launchers_fit, _idle_within_max)
