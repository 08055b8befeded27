"""The names under which hosts and plugins find each other."""

from typing import Final

import pluggy

PROJECT_NAME: Final = "scaleset_autoscaler"
"""Name of the pluggy project, and of the entry-point group plugins register in."""

hookspec: Final = pluggy.HookspecMarker(PROJECT_NAME)
"""Marks a function of `scaleset_hookspecs.specs` as a hook."""

hookimpl: Final = pluggy.HookimplMarker(PROJECT_NAME)
"""Marks a function of a plugin, or of a host's defaults, as an answer to a hook."""
