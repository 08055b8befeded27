"""The simulator's former name: import `scaleset_simulator`. It goes with the next minor version."""

import sys
import warnings

import scaleset_simulator

warnings.warn("scaleset_simulator is the name of what was scaleset_burst.simulator", DeprecationWarning, stacklevel=2)
sys.modules[__name__] = scaleset_simulator
