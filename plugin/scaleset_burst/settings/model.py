"""What stands under `plugins.burst` in the host's YAML, declared once.

The validation, the JSON Schema, the listing and the reference page are made from this module.
All durations are seconds once read; the file says `5m`, `250ms` or a number of seconds.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from scaleset_burst.settings.fields import Directory, NamePart, PemFile, ProxyUrl, SharingUrl, WorkFolder
from scaleset_client.settings import GitHubSettings, ScaleSetName
from scaleset_hookspecs.configuration import Accepts, Duration, Flag, Section, Whole

__all__ = [
    "BatchSettings",
    "BudgetSettings",
    "CacheSettings",
    "ConnectionSettings",
    "EffectiveScaleSet",
    "JournalSettings",
    "ScaleSetOverride",
    "Settings",
    "SharingSettings",
]

Lifetime = Annotated[Duration, Field(ge=0)]
Concurrency = Annotated[Whole, Field(ge=1, le=1000)]


class BatchSettings(Section):
    """How a burst is minted."""

    max_concurrency: Literal["auto"] | Concurrency = Field(
        default="auto", description="Mint requests in flight at most; `auto` learns what the service bears."
    )
    merge_window: Duration = Field(
        default=0.005, ge=0, le=1, description="Calls for one scale set within this time become one burst."
    )
    slice: Literal["never", "auto", "always"] = Field(
        default="never",
        description="Whether several settings go in one request; `auto` tries once, then falls back.",
    )
    slice_size: Whole = Field(default=50, ge=2, le=500, description="Settings in one request at most.")
    name_prefix: NamePart = Field(default="", description="Start of the runners' names; empty: the scale set's name.")
    work_folder: WorkFolder = Field(default="_work", description="Work folder on the runner.")
    attempt_timeout: Duration = Field(
        default=15.0,
        gt=0,
        le=300,
        description="A mint without an answer after this time is given up as ambiguous.",
    )
    max_attempts: Whole = Field(
        default=8, ge=1, le=20, description="Requests at most for one of the runners asked for."
    )
    hedge: Flag = Field(
        default=True,
        description="Ask once more, under another name, for a mint that takes unusually long when nothing else waits.",
    )


class BudgetSettings(Section):
    """The limits to keep, per scope (protocol section 10, GitHub's documented limits)."""

    registrations: Whole = Field(default=1500, ge=1, description="Registrations at most in any `window`.")
    window: Duration = Field(default=300.0, gt=0, description="Length of the sliding window.")
    group_capacity: Whole = Field(default=10_000, ge=1, description="Runners a runner group can hold.")


class CacheSettings(Section):
    """What is remembered, and for how long."""

    ttl: Duration = Field(default=300.0, ge=0, description="Lifetime of what has no lifetime of its own below.")
    cache_runner_info: Flag = Field(default=True, description="Remember runners (`get_runner_info`).")
    cache_statistics: Flag = Field(
        default=False, description="Remember the statistics that come with a scale set's settings."
    )
    scale_set_ttl: Lifetime | None = Field(
        default=None, description="Lifetime of scale sets and their names; `ttl` if left out."
    )
    runner_group_ttl: Lifetime | None = Field(default=3600.0, description="Lifetime of runner groups.")
    runner_ttl: Lifetime | None = Field(default=30.0, description="Lifetime of a runner's state.")
    statistics_ttl: Lifetime | None = Field(default=5.0, description="Lifetime of statistics, if kept.")
    stale_limit: Duration = Field(
        default=3600.0,
        ge=0,
        description="How long past its lifetime a value is served, marked stale, while the service fails.",
    )
    runner_grace: Duration = Field(
        default=60.0,
        ge=0,
        description="How long a runner minted by us is never called absent, nor any runner after the start.",
    )
    max_entries: Whole = Field(default=10_000, ge=10, le=1_000_000, description="Entries of each kind at most.")


class ConnectionSettings(Section):
    """Connections to the service."""

    warm: Whole = Field(default=16, ge=0, le=1000, description="Connections opened at start, before the first burst.")
    max: Whole = Field(
        default=64,
        ge=1,
        le=1000,
        description="Mints in flight at most; every other kind of call may have as many beside.",
    )
    connect_timeout: Duration = Field(default=5.0, gt=0, le=120, description="Time to open a connection, TLS included.")
    read_timeout: Duration = Field(default=15.0, gt=0, le=300, description="Time for the answer to a short call.")
    poll_timeout: Duration = Field(default=120.0, ge=60, le=600, description="Time for the answer to a long poll.")
    proxy: ProxyUrl | None = Field(
        default=None,
        description="URL of an HTTP(S) proxy; by reference if it holds a password. "
        "If left out HTTPS_PROXY and NO_PROXY count. This machine is reached without one.",
    )
    ca_file: PemFile | None = Field(
        default=None,
        description="PEM file of certificate authorities to trust instead of the system's. "
        "Read at start, as the next two are: start again after replacing one.",
    )
    client_certificate: PemFile | None = Field(default=None, description="PEM file of our certificate, for mTLS.")
    client_key: PemFile | None = Field(default=None, description="PEM file of its key, if not in the same file.")


class JournalSettings(Section):
    """Where minted names are written down, so that a crash leaves no ghost."""

    directory: Directory | None = Field(
        default=None,
        description="State directory of this user; the user's own if left out. `:memory:` keeps nothing.",
    )
    launch_grace: Lifetime = Field(
        default=600.0,
        description=(
            "How long a machine may take to connect; what a dead host may have handed out is removed then, if offline."
        ),
    )


class SharingSettings(Section):
    """State shared with other hosts of the same scope through Redis or Valkey."""

    url: SharingUrl = Field(description="redis:// or rediss:// URL; by reference if it holds a password.")
    ca_file: PemFile | None = Field(
        default=None, description="PEM file of certificate authorities to trust for rediss://, besides the system's."
    )
    prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]+$"), Accepts("letters, digits, `.`, `_`, `:` and `-`")] = (
        Field(default="scaleset-burst", description="Start of every key.")
    )
    timeout: Duration = Field(default=0.25, gt=0, le=10, description="Time for an answer before the fallback.")
    lease: Duration = Field(
        default=30.0, ge=5, le=3600, description="Silence after which a host counts as dead and others take over."
    )
    hosts: Whole = Field(
        default=4, ge=1, le=1000, description="Hosts to share the limits with, as long as Redis has never answered."
    )


class ScaleSetOverride(Section):
    """What differs for one scale set."""

    enabled: Flag = Field(default=True, description="Whether the plugin answers for this scale set.")
    name_prefix: NamePart | None = Field(default=None, description="Instead of `batch.name_prefix`.")
    work_folder: WorkFolder | None = Field(default=None, description="Instead of `batch.work_folder`.")
    max_concurrency: Concurrency | None = Field(
        default=None, description="A limit of its own, below `batch.max_concurrency`."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectiveScaleSet:
    """What holds for one scale set, with every blank filled in.

    Attributes:
        enabled: Whether the plugin answers for it.
        name_prefix: Start of its runners' names; its own name if nothing else was set.
        work_folder: Work folder on its runners.
        max_concurrency: Its own limit of mint requests in flight; `None`: only the limit that all share.
    """

    enabled: bool
    name_prefix: str
    work_folder: str
    max_concurrency: int | None


class Settings(Section):
    """The section `plugins.burst`."""

    enabled: Flag = Field(default=True, description="Whether the plugin answers at all.")
    github: GitHubSettings | None = Field(
        default=None, description="Scope and credentials; the host's own `github` if left out."
    )
    batch: BatchSettings = Field(default=BatchSettings(), description="How a burst is minted.")
    budget: BudgetSettings = Field(default=BudgetSettings(), description="The limits to keep, per scope.")
    cache: CacheSettings = Field(default=CacheSettings(), description="What is remembered, and for how long.")
    connections: ConnectionSettings = Field(default=ConnectionSettings(), description="Connections to the service.")
    journal: JournalSettings = Field(
        default=JournalSettings(),
        description="Where minted names are written down, so that a crash leaves no ghost.",
    )
    sharing: SharingSettings | None = Field(
        default=None,
        description="State shared with other hosts of the scope through Redis or Valkey; none if left out.",
    )
    metrics: Flag = Field(
        default=False,
        description="Whether the default registry of `prometheus_client` shows the plugin; extra `metrics`.",
    )
    traces: Flag = Field(
        default=False,
        description="Whether bursts, mints and look-ups become OpenTelemetry spans; extra `otel`.",
    )
    scale_sets: Literal["all"] | dict[ScaleSetName, ScaleSetOverride] = Field(
        default="all",
        description="Overrides by scale set name; sets not named are ours as well, with the settings above.",
    )

    def for_scale_set(self, name: str) -> EffectiveScaleSet:
        """Return what holds for the scale set of that name, named in the file or not."""
        override = ScaleSetOverride() if self.scale_sets == "all" else self.scale_sets.get(name, ScaleSetOverride())
        prefix = self.batch.name_prefix if override.name_prefix is None else override.name_prefix
        return EffectiveScaleSet(
            enabled=self.enabled and override.enabled,
            name_prefix=prefix or name,
            work_folder=override.work_folder or self.batch.work_folder,
            max_concurrency=override.max_concurrency,
        )
