"""The command line: `scaleset-burst`."""

from scaleset_burst.cli.entry import main

__all__ = ["main"]
