"""A small autoscaler of GitHub Actions runners, to run and to copy: listener, scaler, launcher.

Its requests are hooks. Which plugin answers them, if any, is decided in its YAML alone.
"""

__all__: list[str] = []
