"""The plugin's settings: what the YAML may say, and how it is read."""

from scaleset_burst.settings.loading import load_settings
from scaleset_burst.settings.model import (
    AppSettings,
    BatchSettings,
    BudgetSettings,
    CacheSettings,
    ConnectionSettings,
    EffectiveScaleSet,
    GitHubSettings,
    JournalSettings,
    ScaleSetOverride,
    Settings,
    SharingSettings,
    reveal,
)

__all__ = [
    "AppSettings",
    "BatchSettings",
    "BudgetSettings",
    "CacheSettings",
    "ConnectionSettings",
    "EffectiveScaleSet",
    "GitHubSettings",
    "JournalSettings",
    "ScaleSetOverride",
    "Settings",
    "SharingSettings",
    "load_settings",
    "reveal",
]
