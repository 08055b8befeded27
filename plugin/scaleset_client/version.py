"""The version of the installed distribution."""

from importlib.metadata import PackageNotFoundError, version

__all__ = ["VERSION"]

try:
    VERSION = version("scaleset-burst")
except PackageNotFoundError:  # run from a source tree that was never installed
    VERSION = "0+unknown"
