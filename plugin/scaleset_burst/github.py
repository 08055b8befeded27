"""The client's former name: import `scaleset_client`. It goes with the next minor version."""

import sys
import warnings

import scaleset_client

warnings.warn("scaleset_client is the name of what was scaleset_burst.github", DeprecationWarning, stacklevel=2)
sys.modules[__name__] = scaleset_client
