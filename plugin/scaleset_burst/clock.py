"""The clock's former name: import `scaleset_client.clock`. It goes with the next minor version."""

import sys
import warnings

import scaleset_client.clock

warnings.warn("scaleset_client.clock is the name of what was scaleset_burst.clock", DeprecationWarning, stacklevel=2)
sys.modules[__name__] = scaleset_client.clock
