"""The host's configuration: a YAML file becomes a mapping with its lines, and the host's own settings."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, cast
from urllib.parse import urlsplit

import yaml

from autoscaler.section import Section
from scaleset_client import AppCredentials, TokenCredentials
from scaleset_client.loopback import is_loopback
from scaleset_hookspecs import ConfigError, Label, Problem, ScaleSetRef, UsageError
from scaleset_hookspecs.host import SourcedConfig, create_manager
from scaleset_hookspecs.sources import unfolded

__all__ = ["HostSettings", "load", "settings_of"]

MOST_BYTES: Final = 1024 * 1024
MOST_VALUES: Final = 100_000
"""Of a configuration, aliases counted as often as they are used: a few lines of them can fill any memory."""

RUNNER_IMAGE: Final = "ghcr.io/actions/actions-runner:latest"
"""GitHub's own; `./run.sh` starts the runner in it."""

_LAUNCHERS: Final = ("simulated", "command", "docker")


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSettings:
    """What the host itself needs of its file; the plugins read their own sections.

    Attributes:
        config_url: Web URL of the enterprise, organisation or repository.
        credentials: A token, or a GitHub App.
        scale_set: The scale set and its runner group, by name.
        labels: Labels of the scale set, if the host has to make it.
        create_scale_set: Whether to make a scale set that does not exist.
        min_idle: Runners kept ready when nothing is to do.
        max_runners: Runners in all at most.
        launcher: What a JIT config becomes.
        command: The program of the launcher `command`, or what runs in a container of `docker`, with its arguments.
        image: The image of the launcher `docker`.
        container: What else the Docker API is to be told of each container.
        secret_variables: Environment variables that the file takes secrets from, for itself or for a plugin.
        fall_back: Whether the host's own hooks answer when a plugin reports that the service is unavailable.
        drain_timeout: Seconds that runners with a job have to finish it at the end; `None`: as long as they need.
    """

    config_url: str
    credentials: TokenCredentials | AppCredentials
    scale_set: ScaleSetRef
    labels: tuple[Label, ...] = ()
    create_scale_set: bool = True
    min_idle: int = 0
    max_runners: int = 10
    launcher: Literal["simulated", "command", "docker"] = "command"
    command: tuple[str, ...] = ()
    image: str = RUNNER_IMAGE
    container: Mapping[str, Any] = field(default_factory=dict)
    secret_variables: frozenset[str] = frozenset()
    fall_back: bool = False
    drain_timeout: float | None = None


def load(path: Path) -> tuple[SourcedConfig, HostSettings]:
    """Read the file.

    Raises:
        ConfigError: The file cannot be read, is no YAML, or something in the host's own sections is wrong;
            carries every problem at once, those of the plugins' sections too.
    """
    config = _mapping(path)
    try:
        return config, settings_of(config)
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


def _mapping(path: Path) -> SourcedConfig:
    text = _text(path)
    try:
        node = yaml.compose(text, yaml.SafeLoader)
        if node is not None and unfolded(node, MOST_VALUES) > MOST_VALUES:
            raise _refused(path, None, "aliases that unfold to too much", f"at most {MOST_VALUES} values in all")
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        found = str(getattr(error, "problem", None) or "characters that YAML does not allow")
        line = mark.line + 1 if mark is not None else None
        raise _refused(path, line, found.removeprefix("found "), "YAML") from error
    except RecursionError:
        raise _refused(path, None, "values nested too deeply", "a few levels") from None
    except ValueError as error:  # PyYAML builds dates and numbers without a check of its own
        raise _refused(path, None, f"a value that YAML cannot read ({error})", "YAML") from error
    if not isinstance(data, dict) or node is None:
        raise _refused(path, 1, "no mapping at the top", "sections `github`, `autoscaler` and `plugins`")
    return SourcedConfig.from_node(data, node, str(path))


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
        if len(raw) <= MOST_BYTES:
            return raw.decode("utf-8-sig")
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise _refused(path, None, f"a file that does not open: {reason}", "a YAML file") from error
    raise _refused(path, None, "a file that is too long", f"at most {MOST_BYTES // 1024} KiB")


def _refused(path: Path, line: int | None, found: str, expected: str) -> ConfigError:
    return ConfigError([Problem(path="(file)", found=found, expected=expected, file=str(path), line=line)])


def settings_of(config: SourcedConfig) -> HostSettings:
    """Return the host's settings.

    Raises:
        ConfigError: Carries every problem of the sections `github` and `autoscaler`.
    """
    problems: list[Problem] = []
    top = Section(config, (), problems)
    top.known("github", "autoscaler", "plugins", *(key for key in config if str(key).startswith("x-")))  # for anchors
    github = Section(config, ("github",), problems)
    own = Section(config, ("autoscaler",), problems)
    settings = HostSettings(
        config_url=github.text("config_url"),
        credentials=_credentials(github),
        scale_set=ScaleSetRef(name=own.text("scale_set"), runner_group=own.text("runner_group", "default")),
        labels=tuple(Label(name=name) for name in own.texts("labels")),
        create_scale_set=own.flag("create_scale_set", default=True),
        min_idle=own.whole("min_idle", 0, minimum=0),
        max_runners=own.whole("max_runners", 10, minimum=1),
        launcher=cast('Literal["simulated", "command", "docker"]', own.choice("launcher", _LAUNCHERS, "command")),
        command=own.texts("command"),
        image=own.text("image", RUNNER_IMAGE),
        container=own.mapping("container"),
        secret_variables=frozenset(_variables(config, set())),
        fall_back=own.flag("fall_back", default=False),
        drain_timeout=float(own.whole("drain_timeout", 0, minimum=0)) or None,
    )
    if settings.launcher == "command" and not settings.command and not problems:
        own.refuse("command", "nothing", "the program to run, as a list: [./run.sh]")
    host = urlsplit(settings.config_url).hostname or ""
    if settings.launcher == "simulated" and host and not is_loopback(host):
        own.refuse("launcher", "`simulated` for a service on another machine", "`command`; no simulator is there")
    for section in (top, github, own):
        section.close()
    problems += _twice(config)
    if problems:
        raise ConfigError(problems)
    return settings


def _variables(value: object, seen: set[int]) -> Iterator[str]:
    if id(value) in seen or not isinstance(value, dict | list):
        return
    seen.add(id(value))
    if isinstance(value, dict) and isinstance(value.get("$env"), str):
        yield value["$env"]
    for inner in value.values() if isinstance(value, dict) else value:
        yield from _variables(inner, seen)


def _twice(config: SourcedConfig) -> list[Problem]:
    return [
        Problem(path=".".join(map(str, path)), found="the key again", expected="it once", file=config.file, line=line)
        for path, line in config.duplicates
        if path[:1] != ("plugins",) or len(path) == 1  # the plugins look after their own
    ]


def _credentials(github: Section) -> TokenCredentials | AppCredentials:
    app = github.inner("app")
    if app is None:
        return _token(github)
    if github.inner("token") is not None:
        github.refuse("token", "both `token` and `app`", "one of them")
    credentials = AppCredentials(
        client_id=app.text("client_id"),
        installation_id=app.whole("installation_id", 0, minimum=1),
        private_key=app.secret("private_key"),
    )
    app.close()
    return credentials


def _token(github: Section) -> TokenCredentials | AppCredentials:
    token = github.secret("token")
    try:
        return TokenCredentials(token=token)
    except UsageError as error:
        if token:
            github.refuse("token", "a secret that is none", str(error))
        return AppCredentials(client_id="", installation_id=0, private_key="")  # refused already, and never used
