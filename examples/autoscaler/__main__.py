"""`python -m autoscaler CONFIG`, or `python examples/autoscaler CONFIG`."""

import sys
from pathlib import Path

if not __package__:  # run as a folder: the package is found beside it
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from autoscaler.main import main

sys.exit(main())
