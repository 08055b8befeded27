"""A small autoscaler of GitHub Actions runners, to run and to copy: listener, scaler, launcher.

Its requests are hooks. Which plugin answers them, if any, is decided in its YAML alone.
"""

from autoscaler.config import HostSettings, load, settings_of
from autoscaler.main import main

__all__ = ["HostSettings", "load", "main", "settings_of"]
