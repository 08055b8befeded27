"""The plugin's settings: what the YAML may say, and how it is read."""

from scaleset_burst.settings.loading import load_settings
from scaleset_burst.settings.model import (
    BatchSettings,
    BudgetSettings,
    CacheSettings,
    ConnectionSettings,
    EffectiveScaleSet,
    JournalSettings,
    ScaleSetOverride,
    Settings,
    SharingSettings,
)

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
    "load_settings",
]
